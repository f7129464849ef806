"""A deployed Exchange for the tests of one module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chain_world import World, running_world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as found:
        yield found
