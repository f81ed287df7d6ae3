"""Laws of panes: each thing counts in one pane and once, whatever their length; nothing is lost."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from coordinator.log.memory import MemoryLog
from schemas.books import PortfolioViewUpdated
from schemas.control import GRACE_PANES_MAX
from schemas.decisions import ConflictsDetected, RoundClosed
from schemas.panes import PortfolioCounts, PortfolioPaneClosed, SourcePaneClosed
from schemas.verdicts import SignalRejected
from tests.journals import DAY, MS, T0, Input, engine, events_of, law, lay, outputs, run, zero_clock
from tests.recorded import PORTFOLIOS, SOURCES, recorded

SEEDS = (1, 2, 3)
END = T0 + 9 * DAY
"""Behind the last input of every seed, and the pane that it is in."""
PANES = st.sampled_from([1_000, 7_777, 60_000, 3_600_000, 86_400_000]) | st.integers(1_000, 10**7)
"""Lengths in ms; odd ones lie across every grid of hours and days."""
GRACES = st.sampled_from([0, 5_000, 3_600_000]) | st.integers(0, 3_600_000)


def rewritten(one: Input, body: dict[str, object]) -> Input:
    """The input with another body."""
    return replace(one, raw=replace(one.raw, payload=json.dumps(body).encode()))


def allowed(grace: int, length: int) -> int:
    """As much of the grace as parameters may have, ms."""
    return min(grace, GRACE_PANES_MAX * length)


def with_panes(inputs: Iterable[Input], *, length: int, grace: int) -> list[Input]:
    """The inputs, with these panes in every set of parameters."""
    made = []
    for one in inputs:
        body = json.loads(one.raw.payload)
        if body.get("type") == "ParametersChanged":
            waits = allowed(grace, length)
            body["parameters"] |= {"pane_ms": length, "pane_grace_ms": waits}
        made.append(rewritten(one, body))
    return made


def delayed(inputs: Iterable[Input], rng: Random, longest_ms: int) -> list[Input]:
    """The inputs, where signals happened a while before they came, and some have a clock ahead."""
    made = []
    for one in inputs:
        body = json.loads(one.raw.payload)
        if one.raw.topic == "signals":
            ago = rng.choice([0, rng.randrange(longest_ms + 1), -rng.randrange(4_000)])
            body["event_time"] = one.at - ago * MS
        made.append(rewritten(one, body))
    return made


def summed(counts: list[PortfolioCounts]) -> dict[str, object]:
    """Field by field, in plain arithmetic."""
    return {
        name: sum((getattr(one, name) for one in counts), start=type(getattr(counts[0], name))(0))
        for name in PortfolioCounts.model_fields
    }


@law(6)
@given(seed=st.sampled_from(SEEDS), length=PANES, grace=GRACES)
def test_a_portfolios_panes_add_up_to_the_whole_log(seed: int, length: int, grace: int) -> None:
    log = run(with_panes(recorded(seed), length=length, grace=grace), end=END)
    panes, rounds = events_of(log, PortfolioPaneClosed), events_of(log, RoundClosed)
    for name in PORTFOLIOS:
        own = [one for one in panes if one.portfolio == name]
        mine = [one for one in rounds if one.portfolio == name]
        total = summed([one.counts for one in own])
        assert total == own[-1].totals.model_dump()
        assert total["rounds"] == len(mine)
        assert total["decisions"] == sum(one.outcome == "decided" for one in mine)
        assert total["signals_used"] == sum(len(one.signals_used) for one in mine)
        assert total["signals_new"] == sum(one.signals_new for one in mine)
        assert total["signals_dropped"] == sum(len(one.signals_dropped) for one in mine)
        assert total["conflicts"] == sum(one.conflicts for one in mine)
        views = [one for one in events_of(log, PortfolioViewUpdated) if one.portfolio == name]
        last = views[-1]
        assert (total["fills"], total["traded"], total["fees"]) == (
            last.fills, last.traded, last.fees,
        )  # fmt: skip
        assert sum((one.pnl for one in own), start=Decimal(0)) == own[-1].closing.gain
        for before, after in pairwise(own):
            assert after.opening == before.closing
            assert before.ends_at <= after.begins_at
        for one in own:
            inside = [v for v in views if one.begins_at <= v.decided_at < one.ends_at]
            shown = [one.opening.gross, one.closing.gross, *(v.gross for v in inside)]
            assert one.gross_max == max(shown)
            assert one.counts.rounds == sum(
                one.begins_at <= r.decided_at < one.ends_at for r in mine
            )
    assert sum(one.counts.rounds for one in panes) > 20


@law(6)
@given(seed=st.sampled_from(SEEDS), length=PANES)
def test_whose_signals_were_contested_is_what_rounds_and_conflicts_say(
    seed: int, length: int
) -> None:
    log = run(with_panes(recorded(seed), length=length, grace=0), end=END)
    used: Counter[tuple[str, str]] = Counter()
    contested: Counter[tuple[str, str]] = Counter()
    named: Counter[tuple[str, str]] = Counter()
    lines = {one.decision_id: one.conflicts for one in events_of(log, ConflictsDetected)}
    for closed in events_of(log, RoundClosed):
        found = lines.get(closed.decision_id, ())
        for reference in closed.signals_used:
            key = closed.portfolio, reference.split("/")[0]
            used[key] += 1
            contested[key] += any(reference in line.signals for line in found)
        for line in found:
            named.update({(closed.portfolio, ref.split("/")[0]) for ref in line.signals})
    told: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for pane in events_of(log, PortfolioPaneClosed):
        for one in pane.heard:
            key = pane.portfolio, one.source
            for what in ("used", "contested", "conflicts"):
                told[what][key] += getattr(one, what)
                assert told[what][key] == getattr(one, f"{what}_total")
    assert (told["used"], told["conflicts"]) == (used, +named)
    assert +told["contested"] == +contested
    assert sum(contested.values()) > 0


@law(10)
@given(
    seed=st.sampled_from(SEEDS), length=PANES, grace=GRACES, rng=st.randoms(use_true_random=False),
    longest=st.sampled_from([1_000, 100_000, 4 * 3_600_000]),
)  # fmt: skip
def test_each_signal_counts_once_in_the_pane_of_its_time_or_as_late_when_that_is_over(
    seed: int, length: int, grace: int, rng: Random, longest: int
) -> None:
    grace = allowed(grace, length)
    signals = delayed(recorded(seed), rng, longest)
    inputs = with_panes(
        (one for one in signals if b"SignalWithdrawn" not in one.raw.payload),
        length=length, grace=grace,
    )  # fmt: skip
    wanted: Counter[tuple[str, int]] = Counter()
    late: Counter[tuple[str, int]] = Counter()
    step = length * MS
    for one in inputs:
        body = json.loads(one.raw.payload)
        if body["type"] == "SignalIssued" and body["source"] in SOURCES:
            time = min(body["event_time"], one.at)
            over = time - time % step + step + grace * MS <= one.at
            key = body["source"], (one.at - one.at % step) if over else time - time % step
            wanted[key] += 1
            late[key] += over
    log = run(inputs, end=END)
    told: Counter[tuple[str, int]] = Counter()
    for pane in events_of(log, SourcePaneClosed):
        key = pane.source, pane.begins_at
        assert key not in told  # a pane is said once
        told[key] = pane.counts.accepted + sum(count for _, count in pane.counts.rejected)
        assert pane.counts.late == late[key]
        assert pane.ends_at - pane.begins_at == step
        assert pane.decided_at == pane.ends_at + grace * MS - 1
    assert told == wanted
    _agrees_with_verdicts(log)


def _agrees_with_verdicts(log: MemoryLog) -> None:
    """The last totals are the sums, and as many were refused as was said."""
    refused = Counter((one.source, one.reason) for one in events_of(log, SignalRejected))
    for source in SOURCES:
        own = [one for one in events_of(log, SourcePaneClosed) if one.source == source]
        rejected: Counter[str] = Counter()
        for one in own:
            rejected.update(dict(one.counts.rejected))
        last = own[-1].totals
        assert dict(last.rejected) == dict(rejected)
        assert rejected == {why: n for (who, why), n in refused.items() if who == source}
        assert last.accepted == sum(one.counts.accepted for one in own)
        assert [one.begins_at for one in own] == sorted(one.begins_at for one in own)


@law(6)
@given(seed=st.sampled_from(SEEDS), cut=st.floats(0.05, 0.95), length=PANES, grace=GRACES)
def test_a_restart_amid_open_panes_changes_nothing(
    seed: int, cut: float, length: int, grace: int
) -> None:
    inputs = with_panes(
        delayed(recorded(seed), Random(seed), 3_600_000), length=length, grace=grace
    )
    records = list(lay(inputs, MemoryLog(clock=zero_clock), shards=1, end=END).read("journal", 0))
    stop = int(cut * len(records))
    one, other = engine(0, 1), engine(0, 1)
    for record in records[:stop]:
        one.step(record)
    other.restore(one.checkpoint())
    for record in records[stop:]:
        assert other.step(record) == one.step(record)
    assert other.checkpoint() == one.checkpoint()


@law(8)
@given(
    seed=st.sampled_from(SEEDS), lengths=st.lists(PANES, min_size=2, max_size=5),
    graces=st.lists(GRACES, min_size=2, max_size=5), rng=st.randoms(use_true_random=False),
)  # fmt: skip
def test_panes_whose_length_changes_meanwhile_neither_overlap_nor_lose_anything(
    seed: int, lengths: list[int], graces: list[int], rng: Random
) -> None:
    inputs: list[Input] = []
    for one in delayed(recorded(seed), rng, 3_600_000):
        body = json.loads(one.raw.payload)
        if body["type"].startswith("Coordination"):
            body = {name: body[name] for name in ("event_id", "event_time")}
            body |= {"type": "ParametersChanged", "parameters": {}}
        length, grace = rng.choice(lengths), rng.choice(graces)
        inputs += with_panes([rewritten(one, body)], length=length, grace=grace)
    log = run(inputs, end=END)
    for kind, field in ((PortfolioPaneClosed, "portfolio"), (SourcePaneClosed, "source")):
        reached: dict[str, int] = {}
        for entry in outputs(log):
            event = entry.event
            if isinstance(event, kind):
                who, begins, ends = getattr(event, field), event.begins_at, event.ends_at
                assert reached.get(who, 0) <= begins < ends
                reached[who] = ends
        assert reached
    rounds = events_of(log, RoundClosed)
    assert sum(one.counts.rounds for one in events_of(log, PortfolioPaneClosed)) == len(rounds)
    _agrees_with_verdicts(log)
