"""Health."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.common import Answer, Integer


class Health(Answer):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(Answer):
    """Whether requests can be answered."""

    status: Literal["ready", "not ready"]
    database: bool = Field(description="Whether the database answers.")
    chain: bool = Field(description="Whether the node answers, for the expected chain.")
    block_number: Integer | None = Field(description="The node's latest block.")
    indexed_block: Integer | None = Field(description="Up to which block the read model goes.")
