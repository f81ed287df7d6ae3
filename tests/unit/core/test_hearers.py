"""Hearers: whom a signal wakes, and that it costs nothing for those whom it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.hearers import Hearers
from coordinator.core.rounds import next_begin
from coordinator.core.state import Portfolio, State
from coordinator.log.memory import MemoryLog
from tests.journals import DAY, HOUR, MS, T0, Input, Inputs, engine, law, lay, zero_clock

NAMES, SOURCES, INSTRUMENTS = ("p", "q", "r"), ("s", "t"), ("A", "B", "C")
subsets = st.lists(st.sampled_from(SOURCES), unique=True).map(sorted)
universes = st.lists(st.sampled_from(INSTRUMENTS), unique=True).map(sorted)
changes = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(NAMES), subsets, universes),
    st.tuples(st.just("remove"), st.sampled_from(NAMES)),
    st.tuples(st.just("note"), st.sampled_from(NAMES), st.booleans()),
)


@law(200)
@given(made=st.lists(changes, max_size=20))
def test_it_wakes_whom_asking_everybody_would(made: list[tuple[Any, ...]]) -> None:
    hearers = Hearers()
    terms: dict[str, tuple[list[str], list[str]]] = {}
    free: set[str] = set()
    for kind, name, *more in made:
        if kind == "add":
            terms[name] = (more[0], more[1])
            hearers.add(name, sources=more[0], instruments=more[1])
        elif kind == "remove":
            terms.pop(name, None)
            hearers.remove(name)
        else:
            free = free | {name} if more[0] else free - {name}
            hearers.note(name, free=more[0])
    for source in (*SOURCES, "nobody"):
        for instrument in (*INSTRUMENTS, "Z", None):
            asked = [
                name
                for name, (sources, universe) in sorted(terms.items())
                if name in free
                and (not sources or source in sources)
                and (instrument is None or not universe or instrument in universe)
            ]
            assert hearers.of(source, instrument) == asked


class Watched(dict[str, Portfolio]):
    """Portfolios that note who is looked at."""

    def __init__(self, made: dict[str, Portfolio]) -> None:
        super().__init__(made)
        self.seen: list[str] = []

    def __getitem__(self, name: str) -> Portfolio:
        self.seen.append(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.seen.append(name)
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        self.seen += list(super().keys())
        return super().__iter__()

    def values(self) -> Any:
        self.seen += list(super().keys())
        return super().values()

    def items(self) -> Any:
        self.seen += list(super().keys())
        return super().items()


OTHERS = {
    "of another source": {"mandate": {"sources": ["u"]}},
    "of another instrument": {"mandate": {"universe": ["B"]}},
    "at a close": {"schedule": {"kind": "session_close"}},
}


def looked_at(others: int, **terms: Any) -> list[str]:
    """Portfolios that three signals of one name look at, with what an owner asks after each."""
    make = Inputs()
    inputs = [make.listed("A"), make.listed("B"), make.registered("s"), make.registered("u")]
    inputs += [make.opened("p"), *(make.opened(f"q{n}", **terms) for n in range(others))]
    inputs.append(make.close({"A": 10.0, "B": 5.0}, T0))
    signals = [make.signal("s", "A", T0 + HOUR + n * MS) for n in range(3)]
    made = engine(0, 1)
    log = MemoryLog(clock=zero_clock)
    lay([*inputs, *signals], log, shards=1, ticks=[T0 + HOUR // 2])  # what a close begins is over
    records = list(log.read("journal", 0))
    for record in records[:-3]:
        made.step(record)
    watched = made.state.portfolios = Watched(made.state.portfolios)
    for record in records[-3:]:
        made.step(record)
        made.next_begin()
    return watched.seen


@pytest.mark.parametrize("terms", OTHERS.values(), ids=OTHERS)
def test_a_signal_looks_at_no_portfolio_that_does_not_hear_it(terms: dict[str, Any]) -> None:
    assert looked_at(0) == looked_at(60, **terms) == ["p"]


def test_a_signal_looks_once_at_each_portfolio_that_hears_it() -> None:
    assert looked_at(3) == ["p", "q0", "q1", "q2"]


def asked_of_all(state: State) -> int | None:
    """`next_begin`, by asking every portfolio."""
    spacing = max(state.parameters.round_spacing_ms, state.pace_ms) * MS
    idle = [p for p in state.portfolios.values() if p.round is None and state.may_decide(p)]
    return min(((p.last_round_at or 0) + spacing for p in idle), default=None)


def eventful() -> list[Input]:
    """Portfolios open, close, pause, decide, are stopped, and hear other things than before."""
    make = Inputs()

    def control(name: str, hour: int, **fields: Any) -> Input:
        return make.make("control", name, T0 + hour * HOUR, **fields)

    def mandate(name: str, hour: int, **fields: Any) -> Input:
        about = {"portfolio": name, "mandate": fields}
        return make.make("portfolios", "MandateChanged", T0 + hour * HOUR, **about)

    return [
        make.listed("A"),
        make.listed("B"),
        make.registered("s"),
        make.opened("p"),
        make.opened("q", mandate={"universe": ["B"]}),
        make.opened("r"),
        make.close({"A": 10.0, "B": 5.0}, T0),
        make.signal("s", "A", T0 + HOUR),
        make.signal("s", "B", T0 + 2 * HOUR),
        control("CoordinationPaused", 3, portfolio="p"),
        make.signal("s", "B", T0 + 4 * HOUR),
        control("CoordinationPaused", 5),
        make.signal("s", "A", T0 + 6 * HOUR),
        control("CoordinationResumed", 7),
        mandate("q", 8, universe=["A"]),
        make.signal("s", "A", T0 + 9 * HOUR),
        control("CoordinationResumed", 10, portfolio="p"),
        *(make.report("r", {"A": n}, T0 + 11 * HOUR, cash="1") for n in ("5", "6")),
        make.signal("s", "A", T0 + 12 * HOUR),
        make.make("portfolios", "PortfolioClosed", T0 + 13 * HOUR, portfolio="q"),
        make.signal("s", "A", T0 + 14 * HOUR),
        make.close({"A": 11.0, "B": 5.0}, T0 + DAY),
    ]


def test_what_is_kept_of_portfolios_is_what_asking_all_of_them_would_say() -> None:
    made, found = engine(0, 1), set()
    log = lay(eventful(), MemoryLog(clock=zero_clock), shards=1, end=T0 + 2 * DAY)
    for record in log.read("journal", 0):
        made.step(record)
        state = made.state
        assert next_begin(state) == asked_of_all(state)
        found.add(next_begin(state))
        restored = decode_state(encode_state(state))
        assert next_begin(restored) == next_begin(state)
        for instrument in ("A", "B"):
            assert restored.hearers.of("s", instrument) == state.hearers.of("s", instrument)
    assert len(found) > 5
    assert made.state.portfolios["r"].paused
