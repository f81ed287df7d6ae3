"""Rows of panes: whatever comes twice or in another order, windows are sums of their panes."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.ports import Record
from projections.activity import PARTS_MAX, Shape, WrongWindow, portfolio_windows, source_windows
from projections.panes import PaneTables
from projections.tables import Row
from schemas.base import OutputEvent
from schemas.canonical import digest
from schemas.entries import GENESIS, decode_head, encode_output
from schemas.panes import (
    PaneEdge,
    PortfolioCounts,
    PortfolioPaneClosed,
    SignalCounts,
    SourceHeard,
    SourcePaneClosed,
)

SECOND = 1_000_000_000
PANE = 10
SIZES = (10, 60, 600)
REASONS = ("duplicate", "stale", "unknown_signal")


def edge(at: int, gain: int, gross: float) -> PaneEdge:
    return PaneEdge(at=at, nav=Decimal(1000 + gain), gain=Decimal(gain), gross=gross, net=-gross)


def added(one: PortfolioCounts, more: PortfolioCounts) -> PortfolioCounts:
    names = PortfolioCounts.model_fields
    return PortfolioCounts(**{name: getattr(one, name) + getattr(more, name) for name in names})


def portfolio_panes(name: str, places: list[int], rng: Random) -> list[PortfolioPaneClosed]:
    """Panes at these places of the grid, with figures of chance."""
    totals = PortfolioCounts(traded=Decimal(0), fees=Decimal(0))
    opening, heard = edge(0, 0, 0.0), Counter[str]()
    made: list[PortfolioPaneClosed] = []
    for place in places:
        at = place * PANE * SECOND
        ints = {n: rng.randrange(9) for n in ("rounds", "signals_used", "conflicts", "fills")}
        counts = PortfolioCounts(
            traded=Decimal(rng.randrange(9999)) / 100, fees=Decimal(rng.randrange(99)), **ints
        )
        totals = added(totals, counts)
        closing = edge(at + PANE * SECOND, rng.randrange(-99, 99), rng.random())
        lines = []
        for source in sorted({*heard, rng.choice("xyz")}):
            used = rng.randrange(5)
            heard[source] += used
            lines.append(
                SourceHeard(
                    source=source, used=used, contested=used // 2, conflicts=0,
                    used_total=heard[source],
                    contested_total=sum(
                        line.contested for pane in made for line in pane.heard
                        if line.source == source
                    ) + used // 2,
                    conflicts_total=0,
                )
            )  # fmt: skip
        made.append(
            PortfolioPaneClosed(
                decided_at=at + PANE * SECOND - 1, portfolio=name, begins_at=at,
                ends_at=at + PANE * SECOND, opening=opening, closing=closing,
                pnl=closing.gain - opening.gain,
                gross_max=max(opening.gross, closing.gross, rng.random()),
                net_min=min(opening.net, closing.net), net_max=max(opening.net, closing.net),
                counts=counts, totals=totals, heard=tuple(lines),
            )
        )  # fmt: skip
        opening = closing
    return made


def source_panes(name: str, places: list[int], rng: Random) -> list[SourcePaneClosed]:
    accepted, late, rejected, made = 0, 0, Counter[str](), []
    for place in places:
        at = place * PANE * SECOND
        counts = SignalCounts(
            accepted=rng.randrange(9), late=rng.randrange(3),
            rejected=tuple((why, rng.randrange(1, 5)) for why in REASONS if rng.random() < 0.5),
        )  # fmt: skip
        accepted, late = accepted + counts.accepted, late + counts.late
        rejected.update(dict(counts.rejected))
        totals = SignalCounts(
            accepted=accepted, late=late, rejected=tuple(sorted(rejected.items()))
        )
        made.append(
            SourcePaneClosed(
                decided_at=at, source=name, begins_at=at, ends_at=at + PANE * SECOND,
                counts=counts, totals=totals,
            )
        )  # fmt: skip
    return made


def records(events: list[Any], shard: int = 0) -> list[Record]:
    made, prev = [], GENESIS
    for seq, one in enumerate(events):
        event: OutputEvent = one
        entry = encode_output(seq, 0, seq, prev, event)
        prev = digest(entry)
        made.append(Record("decisions", shard, seq, event.decided_at, entry))
    return made


def tables(*, kept: int | None = None) -> tuple[PaneTables, dict[str, Row], dict[str, Row]]:
    latest: dict[str, Row] = {}
    windows: dict[str, Row] = {}
    return PaneTables(latest, windows, sizes=SIZES, kept=kept), latest, windows


def apply(made: PaneTables, found: list[Record]) -> None:
    for record in found:
        made.apply(record, decode_head(record.payload))


places = st.lists(st.integers(0, 300), min_size=1, max_size=40, unique=True).map(sorted)
shapes = st.sampled_from(
    [Shape(10, 10, 1000), Shape(60, 60, 1000), Shape(60, 10, 1000), Shape(600, 60, 1000),
     Shape(600, 600, 1000), Shape(1200, 60, 1000), Shape(30, 10, 1000)]
)  # fmt: skip


@given(where=places, seed=st.integers(0, 99), shape=shapes, twice=st.randoms(use_true_random=False))
def test_a_window_is_the_sum_of_its_panes_in_whatever_order_they_came(
    where: list[int], seed: int, shape: Shape, twice: Random
) -> None:
    panes = portfolio_panes("p", where, Random(seed))
    made, latest, windows = tables()
    apply(made, records(panes))
    straight = (dict(latest), dict(windows))
    again, latest, windows = tables()
    mixed = records(panes) + twice.choices(records(panes), k=20)
    twice.shuffle(mixed)
    apply(again, mixed)
    assert (latest, windows) == straight
    told = portfolio_windows(again, "p", shape)
    hop, size = shape.hop * SECOND, shape.size * SECOND
    last = panes[-1].begins_at // hop * hop + hop
    ends = range(last, panes[0].begins_at, -hop)
    wanted = {
        end: inside for end in ends
        if (inside := [one for one in panes if end - size <= one.begins_at < end])
    }  # fmt: skip
    assert [one["ends_at"] for one in told] == sorted(wanted)
    for window in told:
        inside = wanted[window["ends_at"]]
        for name in ("rounds", "signals_used", "conflicts", "fills", "decisions"):
            assert window[name] == sum(getattr(one.counts, name) for one in inside)
        for name in ("traded", "fees"):
            assert Decimal(window[name]) == sum(getattr(one.counts, name) for one in inside)
        assert Decimal(window["pnl"]) == sum(one.pnl for one in inside)
        assert window["opening"] == json.loads(inside[0].opening.model_dump_json())
        assert window["closing"] == json.loads(inside[-1].closing.model_dump_json())
        assert window["gross_max"] == max(one.gross_max for one in inside)
        assert window["net_min"] == min(one.net_min for one in inside)
        heard: dict[str, Counter[str]] = {}
        for one in inside:
            for line in one.heard:
                sums = heard.setdefault(line.source, Counter())
                sums.update(used=line.used, contested=line.contested)
        counted = {name: sums for name, sums in heard.items() if any(sums.values())}
        assert {line["source"]: line["used"] for line in window["sources"]} == {
            name: sums["used"] for name, sums in counted.items()
        }
        for line in window["sources"]:
            sums = counted[line["source"]]
            assert line["conflict_rate"] == sums["contested"] / sums["used"]


@given(
    where=places, others=places, seed=st.integers(0, 99), shape=shapes,
    mixed=st.randoms(use_true_random=False),
)  # fmt: skip
def test_a_sources_window_adds_its_home_shard_and_the_portfolios_that_heard_it(
    where: list[int], others: list[int], seed: int, shape: Shape, mixed: Random
) -> None:
    rng = Random(seed)
    own, p, q = (
        source_panes("x", where, rng), portfolio_panes("p", others, rng),
        portfolio_panes("q", where, rng),
    )  # fmt: skip
    made, _, _ = tables()
    found = records(own, 1) + records(p, 0) + records(q, 2)
    mixed.shuffle(found)
    apply(made, found)
    size = shape.size * SECOND
    for window in source_windows(made, "x", shape):
        begin, end = window["begins_at"], window["ends_at"]
        assert end - begin == size
        inside = [one for one in own if begin <= one.begins_at < end]
        lines = [
            line for pane in (*p, *q) if begin <= pane.begins_at < end
            for line in pane.heard if line.source == "x"
        ]  # fmt: skip
        if window["signals"] is None:
            assert not inside
        else:
            rejected: Counter[str] = Counter()
            for one in inside:
                rejected.update(dict(one.counts.rejected))
            accepted = sum(one.counts.accepted for one in inside)
            assert window["signals"]["accepted"] == accepted
            assert window["signals"]["rejected"] == rejected
            assert window["signals"]["late"] == sum(one.counts.late for one in inside)
            judged = accepted + rejected["duplicate"] + rejected["stale"]
            rate = accepted / judged if judged else None
            assert window["signals"]["acceptance_rate"] == rate
        used = sum(line.used for line in lines)
        assert (window["rounds"] or {"used": 0})["used"] == used
        assert inside or used


def test_windows_that_were_forgotten_are_not_made_of_what_is_left() -> None:
    panes = portfolio_panes("p", list(range(200)), Random(1))
    made, _, windows = tables(kept=30)
    apply(made, records(panes))
    assert len(windows) == 30 + 30 + 4
    tumbling = portfolio_windows(made, "p", Shape(10, 10, 1000))
    assert [one["begins_at"] // SECOND for one in tumbling] == list(range(1700, 2000, 10))
    sliding = portfolio_windows(made, "p", Shape(60, 10, 1000))
    assert sliding[0]["begins_at"] == 1700 * SECOND
    assert sliding[-1]["ends_at"] == 2000 * SECOND
    assert len(sliding) == 25
    apply(made, records(panes)[:150])
    assert len(windows) == 30 + 30 + 4


def test_only_the_newest_windows_are_told() -> None:
    made, _, _ = tables()
    apply(made, records(portfolio_panes("p", [0, 5, 40, 90, 91], Random(2))))
    told = portfolio_windows(made, "p", Shape(10, 10, 2))
    assert [one["begins_at"] // SECOND for one in told] == [900, 910]
    assert portfolio_windows(made, "q", Shape(10, 10, 2)) == []
    assert source_windows(made, "nobody", Shape(10, 10, 2)) == []


def test_turnover_is_half_of_what_was_traded_over_the_mean_worth() -> None:
    made, _, _ = tables()
    (pane,) = portfolio_panes("p", [0], Random(3))
    apply(made, records([pane]))
    (window,) = portfolio_windows(made, "p", Shape(10, 10, 1))
    mean = float(pane.opening.nav + pane.closing.nav) / 2
    assert window["turnover"] == pytest.approx(float(pane.counts.traded) / 2 / mean)


def test_names_that_look_like_parts_of_keys_do_not_meet() -> None:
    names = ("portfolio", "source", "60", "0")
    made, _, _ = tables()
    found = []
    for name in names:
        found += portfolio_panes(name, [0, 1], Random(4))
    apply(made, records(found))
    for name in names:
        (window,) = portfolio_windows(made, name, Shape(60, 60, 5))
        own = [one for one in found if one.portfolio == name]
        assert window["rounds"] == sum(one.counts.rounds for one in own)


@pytest.mark.parametrize(
    ("size", "hop", "last"),
    [(60, 7, 1), (7, None, 1), (65, 10, 1), (10, 60, 1), (0, 10, 1), (-10, 10, 1), (60, 10, 0),
     (60, 10, 1001), (10 * (PARTS_MAX + 1), 10, 1), (60, 0, 1)],
)  # fmt: skip
def test_windows_that_cannot_be_made_are_refused_in_words(
    size: int, hop: int | None, last: int
) -> None:
    with pytest.raises(WrongWindow):
        Shape.asked(SIZES, size, hop, last)


def test_a_window_may_be_of_any_whole_number_of_kept_ones() -> None:
    assert Shape.asked(SIZES, 1800, 60, 5) == Shape(1800, 60, 5)
    assert Shape.asked(SIZES, 600, None, 5) == Shape(600, 600, 5)
