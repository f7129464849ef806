"""All of it in turn: history, replay, second opinions, state, sums; then every other node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from settlement.audit import code, envelope, opinion, proof, state, sums
from settlement.audit.administration import Manager
from settlement.audit.code import Deployed, Terms
from settlement.audit.findings import Difference, Findings, located
from settlement.audit.history import Block, History, Sent
from settlement.audit.node import Node, read
from settlement.audit.replay import Replay
from settlement.chain.abi import CODEC, exchange_interface
from settlement.chain.deploy import MODULES, getter
from settlement.chain.errors import ChainError, NoAnswer, NodeError
from settlement.chain.rpc import Log, log, to_bytes, to_hex
from settlement.errors import InputError
from settlement.reference.exchange import Exchange

Progress = Callable[[int, int], None]
"""Told how many of how many blocks are done."""


@dataclass(frozen=True)
class Place:
    """Where a deployment is, as a node says; its own transactions have to agree."""

    chain_id: int
    address: bytes
    authority: bytes
    token: bytes
    modules: tuple[bytes, ...]
    first: int
    """The block from which on everything matters."""
    last: int


def audit(
    nodes: Sequence[Node], address: bytes, first: int | None = None, progress: Progress | None = None
) -> Findings:
    """Replays a deployment and compares. InputError where there is none to audit."""
    findings = Findings()
    place = find(nodes, address, first)
    try:
        Audit(nodes, place, findings).run(progress or (lambda *_: None))
    except Difference as difference:
        difference.node = difference.node or nodes[0].url
        findings.fail(difference)
    return findings


# Where everything is ------------------------------------------------------------------------------------


def find(nodes: Sequence[Node], address: bytes, first: int | None) -> Place:
    """The deployment of an Exchange's address."""
    node = nodes[0]
    chains = {one.url: one.chain_id() for one in nodes}
    if len(set(chains.values())) > 1:
        raise InputError(f"the nodes are of different chains ({chains}): name nodes of one chain")
    last = min(one.head() for one in nodes)
    if not node.code(address, last):
        raise InputError(f"no contract at {to_hex(address)}: give the Exchange's address on this chain")
    authority, token = (_view(node, address, name) for name in ("authority", "settlementToken"))
    modules = tuple(_view(node, address, getter(name)) for name in MODULES)
    parts = (address, authority, *modules)
    start = _first_block(node, parts, last) if first is None else first
    if first is not None and first > 0 and _older(node, parts, first):
        raise InputError(f"the deployment is older than block {first}: give an earlier --from-block, or none")
    return Place(chains[node.url], address, authority, token, modules, start, last)


def _view(node: Node, address: bytes, name: str) -> bytes:
    abi = exchange_interface()
    try:
        found = abi.decode(name, node.call(address, abi.encode(name)))[0]
    except Exception as cause:
        raise InputError(f"the contract at {to_hex(address)} is no Exchange: it has no {name}") from cause
    return bytes(found)


def _first_block(node: Node, parts: Sequence[bytes], last: int) -> int:
    """The block of the first of these contracts, by their code; of their first events where a node keeps no
    old state.
    """
    try:
        return min(node.first_block_of(one, last) for one in parts)
    except NodeError:
        wanted = {"address": [to_hex(one) for one in parts], "fromBlock": "0x0", "toBlock": hex(last)}
        logs = node.ask("eth_getLogs", wanted)
        if not logs:
            raise InputError("the node keeps neither old state nor events: give --from-block") from None
        return log(logs[0]).block


def _older(node: Node, parts: Sequence[bytes], first: int) -> bool:
    try:
        return any(node.code(one, first - 1) for one in parts)
    except NodeError:
        return False  # it keeps no old state: what is missing shows in the replay


# The audit ----------------------------------------------------------------------------------------------


class Audit:
    """One audit, from the first block to the last."""

    def __init__(self, nodes: Sequence[Node], place: Place, findings: Findings) -> None:
        self.nodes, self.place, self.findings = nodes, place, findings
        self.manager = Manager(place.authority, findings)
        self.modules: dict[bytes, tuple[str, Terms]] = {}
        self.deployed: Deployed | None = None
        self.replay: Replay | None = None

    def run(self, progress: Progress) -> None:
        place = self.place
        history = History(self.nodes[0], place.chain_id, place.first, place.last, self.findings)
        time = 0
        for block in history:
            time = block.time
            for sent in block.sent:
                with located(self.nodes[0].url, block.number, sent.hash):
                    self._transaction(block, sent)
            progress(block.number - place.first + 1, place.last - place.first + 1)
        if self.replay is None:
            raise Difference("code", "no transaction created the Exchange")
        self._compare_nodes(history)
        self._check_code()
        self._check_state(self.replay, time)

    def _transaction(self, block: Block, sent: Sent) -> None:
        if sent.created is not None:
            self._created(sent, sent.created)
        if self.replay is not None:
            self.replay.block(block, sent)
            for id_ in self.replay.proved:
                opinion.check(self.replay.exchange, id_, self.replay.cleared.pop(id_), self.findings)
            self.replay.proved.clear()
        else:
            for one in sent.logs:
                if one.address == self.place.authority:
                    self.manager.apply(one)

    # Contracts ------------------------------------------------------------------------------------------

    def _created(self, sent: Sent, created: bytes) -> None:
        module = code.module_of(sent)
        if module is not None:
            self.modules[created] = module
        if created == self.place.address:
            found = code.read_creation(sent, self.modules)
            self.deployed, place = found, self.place
            told = (place.authority, place.token, *place.modules)
            built = (found.terms.authority, found.terms.token, *found.modules)
            if told != built:
                raise Difference("code", "the Exchange says it was built otherwise than it was", built, told)
            terms = found.terms
            model = Exchange(
                place.chain_id, created, terms.window_length, quorum=0, max_pause=terms.max_pause
            )
            self.replay = Replay(model, created, terms.token, self.manager, self.findings)

    def _check_code(self) -> None:
        assert self.deployed is not None
        place, found = self.place, self.deployed
        words = code.filled_in(place.chain_id, place.address, found)
        contracts = (("Exchange", place.address), *zip(MODULES, found.modules, strict=True))
        for node in self.nodes:
            with located(node.url, place.last):
                for name, address in contracts:
                    code.check_running(name, node.code(address, place.last), words)
        self.findings.add("code", len(contracts))

    # State ----------------------------------------------------------------------------------------------

    def _check_state(self, replay: Replay, now: int) -> None:
        asked = list(state.questions(replay, now))
        state.check(asked, self.nodes[0], self.place.address, self.place.last, self.findings)
        for node in self.nodes[1:]:
            state.check(asked, node, self.place.address, self.place.last, Findings())
            self.findings.add("nodes", len(asked), kind="answers about state")
        for node in self.nodes:
            with located(node.url, self.place.last):
                quiet = self.findings if node is self.nodes[0] else Findings()
                proof.check(
                    node, self.place.address, self.place.authority, self.place.last, replay.exchange, quiet
                )
                balance = self._balance(node)
                sums.check(replay.sums, replay.exchange, now, balance, replay.donated, quiet)

    def _balance(self, node: Node) -> int:
        """Settlement tokens of the Exchange."""
        assert self.deployed is not None
        data = _BALANCE_OF + CODEC.encode(["address"], [self.place.address])
        try:
            return int.from_bytes(node.call(self.deployed.terms.token, data, self.place.last), "big")
        except NoAnswer:
            raise
        except ChainError as cause:
            raise Difference("cash", f"the settlement token does not answer: {cause}") from cause

    # Other nodes ----------------------------------------------------------------------------------------

    def _compare_nodes(self, history: History) -> None:
        """The same blocks and events everywhere."""
        logs = None
        for node in self.nodes if len(self.nodes) > 1 else ():
            with located(node.url):
                self._compare_blocks(node, history)
                found = self._logs(node)
                if logs is not None and found != logs:
                    raise Difference("nodes", f"other events than {self.nodes[0].url}", len(logs), len(found))
                logs = found
                self.findings.add("nodes", len(found), kind="events")

    def _compare_blocks(self, node: Node, history: History) -> None:
        numbers = list(history.hashes)
        raws = node.ask_many(("eth_getBlockByNumber", [hex(one), False]) for one in numbers)
        for number, raw in zip(numbers, raws, strict=True):
            found = to_bytes(raw["hash"]) if raw else None
            with located(node.url, number):
                if found != history.hashes[number]:
                    what = f"another block than {self.nodes[0].url}"
                    raise Difference("nodes", what, history.hashes[number], found)
                if history.hashes_headers:
                    own = read(envelope.header_hash, raw, "nodes", "the block's header")
                    if own != found:
                        raise Difference("nodes", "the header has another hash", own, found)
            self.findings.add("nodes", kind="blocks")

    def _logs(self, node: Node) -> list[Log]:
        place = self.place
        found: list[Log] = []
        for start in range(place.first, place.last + 1, LOG_RANGE):
            end = min(start + LOG_RANGE - 1, place.last)
            wanted = {"address": to_hex(place.address), "fromBlock": hex(start), "toBlock": hex(end)}
            found += [log(raw) for raw in node.ask("eth_getLogs", wanted)]
        return found


LOG_RANGE = 2_000

_BALANCE_OF = bytes.fromhex("70a08231")
