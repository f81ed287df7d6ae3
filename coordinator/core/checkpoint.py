"""Checkpoint: the state written down in hashed parts, and read back.

Place in the flow: a shard's owner writes one from time to time and starts from the newest. The same
state gives the same bytes. Arrays are little-endian numbers in base64, as are remembered ids and
their times; everything else is JSON.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import from_json, to_json

from coordinator.core import published, tilt, virtual
from coordinator.core.bias import Bias
from coordinator.core.clock import Timers
from coordinator.core.instrument import Instrument
from coordinator.core.likeness import Pairs
from coordinator.core.market import Market
from coordinator.core.movements import Movements
from coordinator.core.outcomes import Outcomes
from coordinator.core.remembered import Remembered
from coordinator.core.rounds import note_idle, note_mandate
from coordinator.core.state import Portfolio, Source, State, View
from coordinator.core.tallies import PortfolioPanes, SourcePanes
from schemas.canonical import canonical_bytes, digest
from schemas.control import Parameters
from schemas.market import CorporateActionAnnounced

__all__ = [
    "CheckpointError",
    "checkpoint_position",
    "decode_state",
    "encode_state",
    "is_sealed",
    "portfolio_digest",
    "state_digest",
]

FORMAT = 6
_PORTFOLIO = TypeAdapter(Portfolio)
_SOURCES = TypeAdapter(list[Source])
_VIEWS = TypeAdapter(list[View])
_INSTRUMENTS = TypeAdapter(list[Instrument])
_ACTIONS = TypeAdapter(list[CorporateActionAnnounced])
_OUTCOMES = TypeAdapter(Outcomes)
_MOVEMENTS = TypeAdapter(dict[str, Movements])
_PORTFOLIO_PANES = TypeAdapter(dict[str, PortfolioPanes])
_SOURCE_PANES = TypeAdapter(dict[str, SourcePanes])
_BIASES = TypeAdapter(dict[str, Bias])
_ARRAYS = {
    "price": "<f8",
    "price_time": "<i8",
    "price_session": "<f8",
    "close": "<f8",
    "close_session": "<f8",
    "returns": "<f8",
    "volume": "<f8",
    "volumes": "<f8",
}
"""Arrays of the market and how their numbers are spelled; the rings have a row a session."""
_UNUSED = {"adapted": ("adapted",), "dealt": ("dealt", "dealt_in")}
"""What a portfolio has of rules that are off: no part of its state, which is as without them."""
_RINGS = ("returns", "volumes")


_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Index = Annotated[int, Field(ge=-1, lt=2**63)]
_Time = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class CheckpointError(ValueError):
    """No complete checkpoint of this format: start from an older one or the beginning."""


@with_config(ConfigDict(strict=True))
@dataclass(frozen=True, slots=True)
class _EngineTree:
    """The part `engine` as it must be: hashes say that it is complete, not that it makes sense."""

    shard: _Count
    shards: _Count
    position: _Index
    clock: _Time
    seq: _Count
    last_hash: str
    decisions: _Count
    build: str
    dependencies: str
    fingerprint: str
    sealed: bool
    paused: bool
    pace_ms: _Count
    stagger_ms: _Count
    turn: _Time
    learned: _Count
    marks: list[tuple[str, str, int, int]]
    seen: tuple[str, str]
    seen_own: tuple[str, str]
    timers: list[tuple[str, int]]
    session_timers: list[tuple[str, int]]


@with_config(ConfigDict(strict=True))
@dataclass(frozen=True, slots=True)
class _MarketTree:
    """The part `market` as it must be; arrays in base64."""

    session: _Count
    row: _Index
    rows: _Count
    closed_at: _Time
    instruments: list[dict[str, Any]]
    rates: list[str]
    level: float
    level_session: _Count
    price: str
    price_time: str
    price_session: str
    close: str
    close_session: str
    returns: str
    volume: str
    volumes: str


@with_config(ConfigDict(strict=True))
@dataclass(frozen=True, slots=True)
class _PairsTree:
    """The part `pairs` as it must be; arrays in base64."""

    names: list[str]
    products: str
    squares: str


_PAIRS = TypeAdapter(_PairsTree)
_ENGINE = TypeAdapter(_EngineTree)
_MARKET = TypeAdapter(_MarketTree)
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, IndexError,
           RecursionError)  # fmt: skip
"""What reading the state of a hostile checkpoint may raise; pydantic's errors are ValueErrors."""


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    body: bytes


def portfolio_digest(portfolio: Portfolio) -> str:
    """SHA-256 of a portfolio's whole state: no shard, position or tick in it."""
    return digest(_portfolio_bytes(portfolio))


def _portfolio_bytes(portfolio: Portfolio) -> bytes:
    """One spelling: books in the order of their keys, whatever order they were filled in."""
    tree = _PORTFOLIO.dump_python(portfolio, mode="json")
    for book in (
        "accounts", "adapted", "cost", "dealt", "positions", "open_trades", "traded_last",
    ):  # fmt: skip
        tree[book] = dict(sorted(tree[book].items()))
    for rule, with_it in _UNUSED.items():
        if not tree[rule]:
            for name in with_it:
                del tree[name]
    return to_json(tree)


def encode_state(state: State) -> bytes:
    """The state as a checkpoint: JSON lines, the first with the hash of every part."""
    parts = _parts(state)
    head = {
        "format": FORMAT,
        "position": state.position,
        "seq": state.seq,
        "last_hash": state.last_hash,
        "build": state.build,
        "state": _combined(parts),
        "parts": [[part.name, digest(part.body)] for part in parts],
    }
    return b"\n".join([to_json(head), *(part.body for part in parts)])


def checkpoint_position(checkpoint: bytes) -> int:
    """The journal position that a checkpoint says it stands for, unverified; -1 without one."""
    try:
        position = from_json(checkpoint.partition(b"\n")[0])["position"]
    except _BROKEN:
        return -1
    return position if type(position) is int else -1


def is_sealed(checkpoint: bytes) -> bool:
    """Whether it says that it is the state a build left at its seal, unverified."""
    lines = checkpoint.split(b"\n")
    try:
        names = [name for name, _ in from_json(lines[0])["parts"]]
        return from_json(lines[1 + names.index("engine")])["sealed"] is True
    except _BROKEN:
        return False


def state_digest(state: State) -> str:
    """SHA-256 over the hashes of all parts of the state."""
    return _combined(_parts(state))


def _combined(parts: list[_Part]) -> str:
    return digest("\n".join(f"{part.name} {digest(part.body)}" for part in parts).encode())


def _parts(state: State) -> list[_Part]:
    parts = [
        _Part("engine", to_json(_engine_tree(state))),
        _Part("parameters", canonical_bytes(state.parameters)),
        _Part("sources", _SOURCES.dump_json([state.sources[n] for n in sorted(state.sources)])),
        _Part("views", _VIEWS.dump_json([state.views[key] for key in sorted(state.views)])),
        _Part("market", to_json(_market_tree(state.market))),
        _Part("actions", _ACTIONS.dump_json([state.actions[n] for n in sorted(state.actions)])),
        _Part("pairs", to_json(_pairs_tree(state.pairs))),
        _Part("outcomes", _OUTCOMES.dump_json(state.outcomes)),
        _Part("movements", _MOVEMENTS.dump_json(dict(sorted(state.movements.items())))),
        _Part("panes", _PORTFOLIO_PANES.dump_json(dict(sorted(state.portfolio_panes.items())))),
        _Part(
            "panes of sources", _SOURCE_PANES.dump_json(dict(sorted(state.source_panes.items())))
        ),
        _Part("biases", _BIASES.dump_json(dict(sorted(state.biases.items())))),
        _Part("published", published.written(state.published)),
        _Part("tilt", tilt.written(state)),
        _Part("virtual books", virtual.written(state.virtual)),
    ]
    parts += [
        _Part(f"portfolio {name}", _portfolio_bytes(state.portfolios[name]))
        for name in sorted(state.portfolios)
    ]
    return parts


def _engine_tree(state: State) -> dict[str, Any]:
    return {
        "shard": state.shard,
        "shards": state.shards,
        "position": state.position,
        "clock": state.clock,
        "seq": state.seq,
        "last_hash": state.last_hash,
        "decisions": state.decisions,
        "build": state.build,
        "dependencies": state.dependencies,
        "fingerprint": state.fingerprint,
        "sealed": state.sealed,
        "paused": state.paused,
        "pace_ms": state.pace_ms,
        "stagger_ms": state.stagger_ms,
        "turn": state.turn,
        "learned": state.learned,
        "marks": [
            [topic, topic_id, partition, state.marks[topic, topic_id, partition]]
            for topic, topic_id, partition in sorted(state.marks)
        ],
        "seen": _seen_text(state.seen),
        "seen_own": _seen_text(state.seen_own),
        "timers": state.timers.items(),
        "session_timers": state.session_timers.items(),
    }


def _seen_text(seen: Remembered) -> list[str]:
    """Digests of the ids, and when they were used."""
    return [base64.b64encode(part).decode() for part in seen.written()]


def _market_tree(market: Market) -> dict[str, Any]:
    instruments = sorted(market.instruments.values(), key=lambda i: i.column)
    return {
        "session": market.session,
        "row": market.row,
        "rows": market.rows,
        "closed_at": market.closed_at,
        "instruments": _INSTRUMENTS.dump_python(instruments, mode="json"),
        "rates": market.rates.names,
        "level": market.level,
        "level_session": market.level_session,
        **{name: _array_text(market, name) for name in _ARRAYS},
    }


def _array_text(market: Market, name: str) -> str:
    """The columns in use of one array; what lies beyond them is room, not state."""
    array = getattr(market, name)[..., : len(market.instruments)]
    return base64.b64encode(np.ascontiguousarray(array, dtype=_ARRAYS[name]).tobytes()).decode()


def _pairs_tree(pairs: Pairs) -> dict[str, Any]:
    return {
        "names": pairs.names,
        "products": base64.b64encode(pairs.products.astype("<f8").tobytes()).decode(),
        "squares": base64.b64encode(pairs.squares.astype("<f8").tobytes()).decode(),
    }


def _pairs(tree: _PairsTree) -> Pairs:
    size = (len(tree.names), len(tree.names))
    products, squares = (
        np.frombuffer(base64.b64decode(part), dtype="<f8").reshape(size).astype(np.float64)
        for part in (tree.products, tree.squares)
    )
    return Pairs(tree.names, products, squares)


def decode_state(data: bytes) -> State:
    """What encode_state wrote. Raises CheckpointError when anything of it is missing or changed."""
    try:
        head_line, *bodies = data.split(b"\n")
        head = from_json(head_line)
        names = [name for name, _ in head["parts"]]
        expected = [found for _, found in head["parts"]]
        complete = head["format"] == FORMAT and [digest(body) for body in bodies] == expected
        state = _rebuilt(dict(zip(names, bodies, strict=True))) if complete else None
        agreed = state is not None and all(
            type(head[name]) is type(getattr(state, name)) and head[name] == getattr(state, name)
            for name in ("position", "seq", "last_hash", "build")
        )
    except _BROKEN as error:
        message = f"not a checkpoint of this format: {error}"
        raise CheckpointError(message) from error
    if state is None or not agreed:
        message = "a part of the checkpoint is missing or changed"
        raise CheckpointError(message)
    return state


def _rebuilt(parts: dict[str, bytes]) -> State:
    tree = _ENGINE.validate_json(parts["engine"])
    parameters = Parameters.model_validate_json(parts["parameters"])
    state = State(shard=tree.shard, shards=tree.shards, parameters=parameters)
    for name in ("position", "clock", "seq", "last_hash", "decisions", "build", "dependencies",
                 "fingerprint", "sealed", "paused", "pace_ms", "stagger_ms", "turn",
                 "learned"):  # fmt: skip
        setattr(state, name, getattr(tree, name))
    state.marks = {(topic, topic_id, part): at for topic, topic_id, part, at in tree.marks}
    state.seen = Remembered.read(*map(base64.b64decode, tree.seen))
    state.seen_own = Remembered.read(*map(base64.b64decode, tree.seen_own))
    state.timers = Timers(tree.timers)
    state.session_timers = Timers(tree.session_timers)
    state.sources = {s.terms.source: s for s in _SOURCES.validate_json(parts["sources"])}
    state.views = {v.key: v for v in _VIEWS.validate_json(parts["views"])}
    _fill_market(state.market, _MARKET.validate_json(parts["market"]))
    state.actions = {one.event_id: one for one in _ACTIONS.validate_json(parts["actions"])}
    state.pairs = _pairs(_PAIRS.validate_json(parts["pairs"]))
    state.outcomes = _OUTCOMES.validate_json(parts["outcomes"])
    state.movements = _MOVEMENTS.validate_json(parts["movements"])
    state.portfolio_panes = _PORTFOLIO_PANES.validate_json(parts["panes"])
    state.source_panes = _SOURCE_PANES.validate_json(parts["panes of sources"])
    state.biases = _BIASES.validate_json(parts["biases"])
    state.published = published.read(parts["published"])
    tilt.read(state, parts["tilt"])
    state.virtual = virtual.read(parts["virtual books"])
    for name, body in parts.items():
        if name.startswith("portfolio "):
            portfolio = _PORTFOLIO.validate_json(body)
            state.portfolios[portfolio.name] = portfolio
            note_mandate(state, portfolio)
            note_idle(state, portfolio)
    return state


def _fill_market(market: Market, tree: _MarketTree) -> None:
    instruments = _INSTRUMENTS.validate_json(to_json(tree.instruments))
    if [one.column for one in instruments] != list(range(len(instruments))):
        message = "instruments without a column of their own"
        raise CheckpointError(message)
    market.instruments = {i.name: i for i in instruments}
    market.session, market.row, market.rows = tree.session, tree.row, tree.rows
    market.closed_at, market.level = tree.closed_at, tree.level
    market.level_session = tree.level_session
    if not instruments:
        return
    for name, kind in _ARRAYS.items():
        flat = np.frombuffer(base64.b64decode(getattr(tree, name)), dtype=kind)
        rows = flat.reshape(-1, len(instruments)) if name in _RINGS else flat
        if rows.shape[-1] != len(instruments):
            message = f"{name} of {rows.shape[-1]} instruments, not {len(instruments)}"
            raise CheckpointError(message)
        setattr(market, name, rows.astype(getattr(market, name).dtype))
    market.hold(i.column for i in instruments if i.listed)
    for name in tree.rates:
        market.rates.add(name, market.instruments[name].column)
