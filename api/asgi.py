"""The API for an ASGI server: `uvicorn --factory api.asgi:app`, settings from the environment."""

from __future__ import annotations

import gc
from typing import Any

from fastapi import FastAPI

from api.app import create_app
from api.settings import Settings

YOUNG = 20_000
"""Objects after which the youngest are looked through: a batch makes many at once, and keeps them."""


def app() -> FastAPI:
    """The API of the settings."""
    settings: Any = Settings  # every field has a default, or comes from the environment
    found = create_app(settings())
    found.openapi()
    pause_less()
    return found


def pause_less() -> None:
    """Takes what was loaded so far, which never goes away, out of the collector's rounds: looking through all
    of it stops every request for most of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)
