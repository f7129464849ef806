"""What a client does about each answer: its flows are driven here by hand, without any I/O."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from api.auth import siwe
from api.auth.siwe import Message
from api.client.cache import Cache
from api.client.core import Core
from api.client.errors import BadAnswer, BadChallenge, NoAnswer, Problem, RateLimited, Unavailable
from api.client.events import Frames, listen
from api.client.retries import Retries, retry_after
from api.client.service import Service
from api.client.wire import Alone, Emit, More, Open, Reply, Request, Send, Sleep
from api.schemas.common import rfc3339
from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.reference import eip712

NOW = 1_780_315_200
WALLET, OTHER = Signer(b"\x07" * 32), Signer(b"\x08" * 32)
SERVICE = Service("https://market.example", 31_337, b"\x11" * 20)
GET, PUBLIC = Request("GET", "/v1/sessions"), Request("GET", "/healthz", public=True)
ONCE = Request("POST", "/v1/orders", body=b"{}", public=True, repeatable=False)


def core(**changes: Any) -> Core:
    given = {"wallet": WALLET, "retries": Retries(random=random.Random(5)), "now": lambda: float(NOW)}
    return Core(SERVICE, **(given | changes))


def problem(status: int, slug: str, **headers: str) -> Reply:
    body = {"type": f"urn:trellis:problem:{slug}", "title": "t", "status": status, "detail": "d"}
    return Reply(status, headers, json.dumps(body | {"request_id": "r"}).encode())


def ok(body: Any, **headers: str) -> Reply:
    return Reply(200, headers, json.dumps(body).encode())


class Script:
    """Answers a flow's requests one after the other, and keeps what it asked for."""

    def __init__(self, *answers: Reply | Exception | Callable[[Request], Reply]) -> None:
        self.answers, self.sent = list(answers), list[Request]()
        self.slept, self.emitted = list[float](), list[Any]()

    def run(self, flow: Any) -> Any:
        found = self._drive(flow)
        assert not self.answers, "it asked for less"
        return found

    def _drive(self, flow: Any) -> Any:
        result: Any = None
        error: Exception | None = None
        while True:
            try:
                effect = flow.send(result) if error is None else flow.throw(error)
            except StopIteration as done:
                return done.value
            result, error = None, None
            try:
                result = self._do(effect)
            except NoAnswer as silence:
                error = silence

    def _do(self, effect: Any) -> Any:
        match effect:
            case Send(request) | Open(request):
                self.sent.append(request)
                answer = self._next()
                return answer(request) if callable(answer) else answer
            case More():
                return self._next()
            case Sleep(seconds):
                self.slept.append(seconds)
            case Alone(flow):
                return self._drive(flow)
            case Emit(item):
                self.emitted.append(item)
        return None

    def _next(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


# Retries ------------------------------------------------------------------------------------------------


def test_what_may_be_repeated_is_sent_again_after_silence_and_transient_refusals() -> None:
    script = Script(NoAnswer("cut", sent=True), problem(503, "unavailable"), Reply(502, {}), ok({}))
    assert script.run(core().fetch(PUBLIC)) == ok({})
    assert len(script.sent) == 4
    for slept, most in zip(script.slept, (0.2, 0.4, 0.8), strict=True):
        assert most / 2 <= slept <= most


def test_what_may_not_be_repeated_is_sent_again_only_if_it_never_arrived() -> None:
    assert Script(NoAnswer("no route", sent=False), ok({})).run(core().fetch(ONCE)) == ok({})
    for answer in (NoAnswer("cut", sent=True), problem(503, "unavailable")):
        script = Script(answer)
        with pytest.raises((NoAnswer, Unavailable)):
            script.run(core().fetch(ONCE))
        assert len(script.sent) == 1


def test_patience_ends() -> None:
    script = Script(*[NoAnswer("cut", sent=True)] * 5)
    with pytest.raises(NoAnswer):
        script.run(core().fetch(PUBLIC))
    assert len(script.sent) == 5


def test_a_full_bucket_is_waited_for_as_long_as_the_service_says() -> None:
    limited = problem(429, "rate-limited", **{"retry-after": "7"})
    script = Script(limited, ok({}))
    script.run(core().fetch(ONCE))
    assert script.slept == [7]


def test_a_pause_longer_than_the_caller_has_is_the_caller_s() -> None:
    script = Script(problem(429, "rate-limited", **{"retry-after": "3600"}))
    with pytest.raises(RateLimited) as caught:
        script.run(core().fetch(PUBLIC))
    assert (script.slept, caught.value.retry_after_s) == ([], 3600)


def test_a_write_under_way_is_waited_for_and_another_conflict_is_not() -> None:
    keyed = Request("POST", "/v1/orders", body=b"{}", public=True)
    under_way = problem(409, "write-in-progress", **{"retry-after": "1"})
    assert Script(under_way, ok({})).run(core().fetch(keyed)) == ok({})
    with pytest.raises(Problem):
        Script(problem(409, "something-new")).run(core().fetch(keyed))


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after({"retry-after": "12"}, NOW) == 12
    http_date = datetime.fromtimestamp(NOW + 9, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert retry_after({"retry-after": http_date}, NOW) == 9
    assert retry_after({"retry-after": "soon"}, NOW) is None
    assert retry_after({}, NOW) is None


def test_what_is_no_answer_of_the_api_is_said_to_be_none() -> None:
    with pytest.raises(BadAnswer, match="no problem details"):
        Script(Reply(418, {}, b"<html>")).run(core().fetch(PUBLIC))


def test_a_problem_of_a_later_version_is_still_a_problem() -> None:
    with pytest.raises(Problem) as caught:
        Script(problem(422, "something-new")).run(core().fetch(PUBLIC))
    assert caught.value.type == "urn:trellis:problem:something-new"
    assert caught.value.request_id == "r"


# Login --------------------------------------------------------------------------------------------------


def offer(body: bytes, **changes: Any) -> Reply:
    """An honest challenge for a request, or one with other fields."""
    asked = json.loads(body)
    fields: dict[str, Any] = {
        "domain": "market.example",
        "address": to_checksum_address(asked["account"]),
        "uri": "https://market.example",
        "chain_id": "31337",
        "nonce": "abcdefgh12345678",
        "issued_at": rfc3339(NOW),
        "expiration_time": rfc3339(NOW + 300),
        "statement": "Sign in.",
        "request_id": asked["request_id"],
    }
    told = {"nonce": fields["nonce"], "expires_at": rfc3339(NOW + 300)}
    told["nonce"] = changes.pop("told_nonce", changes.get("nonce", told["nonce"]))
    return ok({"message": siwe.build(Message(**(fields | changes))), **told})


def challenge(**changes: Any) -> Callable[[Request], Reply]:
    return lambda request: offer(request.body or b"", **changes)


def tokens(number: int) -> Reply:
    body = {"access_token": f"a{number}", "expires_in": 600, "refresh_token": f"r{number}"}
    return ok(body | {"refresh_expires_at": rfc3339(NOW + 9000), "account": "0x" + WALLET.address.hex()})


def test_the_first_request_that_needs_it_logs_in() -> None:
    one = core()
    script = Script(challenge(), tokens(1), ok([]))
    script.run(one.fetch(GET))
    assert [each.path for each in script.sent] == ["/v1/auth/challenge", "/v1/auth/login", GET.path]
    assert script.sent[2].headers["Authorization"] == "Bearer a1"
    signed = json.loads(script.sent[1].body or b"")
    signature = bytes.fromhex(signed["signature"][2:])
    assert eip712.recover(siwe.digest(signed["message"]), signature) == WALLET.address


@pytest.mark.parametrize(
    "changes",
    [
        {"domain": "market.example.evil.example"},
        {"domain": "other.example"},
        {"scheme": "http"},
        {"uri": "https://other.example"},
        {"uri": "https://market.example/elsewhere"},
        {"chain_id": "1"},
        {"address": to_checksum_address(OTHER.address)},
        {"request_id": "another-login"},
        {"request_id": None},
        {"told_nonce": "another1234"},
        {"resources": ("https://bank.example/everything",)},
        {"issued_at": rfc3339(NOW - 86_400), "expiration_time": rfc3339(NOW + 86_400)},
        {"issued_at": rfc3339(NOW + 3600)},
        {"expiration_time": rfc3339(NOW - 1)},
        {"expiration_time": None},
        {"expiration_time": rfc3339(NOW + 10 * 86_400)},
        {"not_before": rfc3339(NOW + 86_400)},
    ],
    ids=str,
)
def test_a_challenge_for_anything_else_gets_no_signature(changes: dict[str, Any]) -> None:
    class Watched(Signer):
        def sign_digest(self, digest: bytes) -> bytes:
            raise AssertionError("it signed")

    script = Script(challenge(**changes))
    with pytest.raises(BadChallenge):
        script.run(core(wallet=Watched(b"\x07" * 32)).fetch(GET))


def test_what_is_no_login_message_gets_no_signature() -> None:
    told = {"nonce": "abcdefgh12345678", "expires_at": rfc3339(NOW + 300)}
    with pytest.raises(BadChallenge):
        Script(ok({"message": "Transfer everything", **told})).run(core().fetch(GET))


def test_a_nonce_is_signed_once() -> None:
    one = core()
    Script(challenge(), tokens(1)).run(one.log_in())
    with pytest.raises(BadChallenge, match="signed before"):
        Script(challenge()).run(one.log_in())


def test_a_refused_token_is_exchanged_and_the_request_sent_again() -> None:
    one = core()
    Script(challenge(), tokens(1)).run(one.log_in())
    script = Script(problem(401, "unauthenticated"), tokens(2), ok([]))
    script.run(one.fetch(GET))
    assert json.loads(script.sent[1].body or b"") == {"refresh_token": "r1"}
    assert script.sent[2].headers["Authorization"] == "Bearer a2"


def test_a_token_is_exchanged_before_it_ends() -> None:
    passed = [0.0]
    one = core(passing=lambda: passed[0])
    Script(challenge(), tokens(1)).run(one.log_in())
    passed[0] = 590
    Script(tokens(2), ok([])).run(one.fetch(GET))
    assert one.tokens is not None
    assert one.tokens.access == "a2"


@pytest.mark.parametrize("answer", [problem(401, "login-refused"), NoAnswer("cut", sent=True)], ids=str)
def test_a_login_that_is_over_or_in_doubt_is_made_anew(answer: Any) -> None:
    one = core()
    Script(challenge(), tokens(1)).run(one.log_in())
    script = Script(
        problem(401, "unauthenticated"), answer, challenge(nonce="zyxwvuts87654321"), tokens(2), ok([])
    )
    script.run(one.fetch(GET))
    assert [each.path for each in script.sent][1:4] == [
        *("/v1/auth/refresh", "/v1/auth/challenge", "/v1/auth/login")
    ]


def test_a_token_refused_twice_is_the_caller_s_problem() -> None:
    one = core()
    Script(challenge(), tokens(1)).run(one.log_in())
    refused = problem(401, "unauthenticated")
    with pytest.raises(Problem):
        Script(refused, tokens(2), refused).run(one.fetch(GET))


def test_without_a_wallet_only_what_is_public_is_asked() -> None:
    one = core(wallet=None)
    Script(ok({})).run(one.fetch(PUBLIC))
    with pytest.raises(InputError, match="give the client a wallet"):
        Script().run(one.fetch(GET))


def test_tokens_are_in_no_repr() -> None:
    one = core()
    Script(challenge(), tokens(1)).run(one.log_in())
    assert "a1" not in repr(one.tokens)
    assert "r1" not in repr(one)


# ETags --------------------------------------------------------------------------------------------------


def test_what_did_not_change_is_not_sent_again() -> None:
    one = core()
    first = ok({"rows": 1}, etag='"x"')
    assert Script(first).run(one.fetch(PUBLIC)) == first
    script = Script(Reply(304, {"etag": '"x"'}))
    assert script.run(one.fetch(PUBLIC)) == first
    assert script.sent[0].headers["If-None-Match"] == '"x"'
    newer = ok({"rows": 2}, etag='"y"')
    assert Script(newer).run(one.fetch(PUBLIC)) == newer
    assert Script(Reply(304, {})).run(one.fetch(PUBLIC)) == newer


def test_what_is_kept_is_bounded_and_the_least_used_goes_first() -> None:
    cache = Cache(most_bytes=25)
    requests = [Request("GET", f"/{number}") for number in range(3)]
    for request in requests[:2]:
        cache.keep(request, Reply(200, {"etag": '"x"'}, b"0123456789"))
    cache.find(requests[0])
    cache.keep(requests[2], Reply(200, {"etag": '"x"'}, b"0123456789"))
    assert [cache.find(request) is not None for request in requests] == [True, False, True]
    cache.keep(requests[0], Reply(200, {"etag": '"x"'}, b"0" * 100))
    assert (cache.size, cache.kept) == (0, {})


# Events -------------------------------------------------------------------------------------------------

EVENT = {
    **{"topic": "gate", "name": "SessionOpened", "removed": False, "account": None, "block_number": "7"},
    **{"block_hash": "0x" + "11" * 32, "log_index": "0", "tx_hash": "0x" + "22" * 32},
    **{"time": rfc3339(NOW), "args": {"epoch": "1"}},
}


def event(number: int) -> bytes:
    return f"id: {number}\nevent: gate\ndata: {json.dumps(EVENT)}\n\n".encode()


class Enough(Exception):
    """The listener leaves."""


def test_a_stream_that_breaks_goes_on_behind_the_last_event() -> None:
    one, stream = core(), Request("GET", "/v1/stream", public=True)
    head = Reply(200, {})
    script = Script(
        *(head, b"retry: 250\nid: 40\n\n", NoAnswer("cut", sent=True)),
        *(head, event(41) + event(42)[:30], event(42)[30:] + b"id: 43\ndata: {", None),
        *(head, Enough()),
    )
    with pytest.raises(Enough):
        script.run(listen(one, stream))
    assert [each.id for each in script.emitted] == [41, 42]
    assert [each.headers.get("Last-Event-ID") for each in script.sent] == [None, "40", "42"]
    assert script.slept == [0.25, 0.25]


def test_an_event_that_is_none_is_not_passed_on() -> None:
    script = Script(Reply(200, {}), b"id: 1\ndata: {}\n\n")
    with pytest.raises(BadAnswer):
        script.run(listen(core(), Request("GET", "/v1/stream", public=True)))


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5, unique=True), st.data())
def test_events_are_the_same_however_the_bytes_are_cut(numbers: list[int], data: st.DataObject) -> None:
    whole = b": still here\n\n".join(event(one) for one in numbers)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    frames = Frames()
    found = [number for piece in pieces for number, _ in frames.feed(piece)]
    assert found == [str(one) for one in numbers]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(piece: bytes) -> None:
    list(Frames().feed(piece))
