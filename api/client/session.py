"""Logging in and out, and waiting for the read model: what takes more than one request."""

from __future__ import annotations

from typing import Any

from api.client.errors import Unauthenticated
from api.client.route import Operation
from api.client.routes import LoginRoutes, OperationRoutes
from api.client.wire import Flow, Sleep
from api.schemas.ops import Readiness

POLL_S = 0.05


class Sessions:
    """Of both clients."""

    core: Any

    @Operation
    def log_in(self) -> Flow[None]:
        """Logs in now; else the first request that needs a login does. BadChallenge if what the service wants
        to be signed is for anything else.
        """
        yield from self.core.log_in()

    @Operation
    def log_out(self) -> Flow[None]:
        """Ends the login: none of its tokens is accepted any more."""
        if self.core.tokens is None:
            return
        try:
            yield from LoginRoutes.end_login.flow(self)
        except Unauthenticated:
            pass  # it was over
        finally:
            self.core.forget()

    @Operation
    def wait_for_block(self, number: int, timeout_s: float = 30.0) -> Flow[Readiness]:
        """Waits until the read model has read a block. TimeoutError after that long."""
        until = self.core.passing() + timeout_s
        while True:
            found = yield from OperationRoutes.readiness.flow(self)
            if found.indexed_block is not None and found.indexed_block >= number:
                return found
            if self.core.passing() >= until:
                raise TimeoutError(f"the read model is at block {found.indexed_block}, not at {number}")
            yield Sleep(POLL_S)
