"""A deployed Exchange for the tests of one module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chain_world import World, running_world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as found:
        yield found


@pytest.fixture
def turned_back(world: World) -> Iterator[World]:
    """The world, which after the test is as it was."""
    with world.turned_back():
        yield world
