from __future__ import annotations

import pytest

from replay.baselines import BENCHMARK, Baselines
from replay.ledger import Ledger
from replay.report import summarise
from replay.report.accounts import curves
from replay.report.summary import FATES
from replay.report.words import unused_spelled
from schemas.decisions import RoundClosed
from tests.support.planted_run import DAY, HOSTILE, START, Planted, planted_run, signal

LOG = planted_run()


def test_each_signal_has_one_fate_and_they_add_up() -> None:
    summary = summarise(LOG)
    fates = {
        source.source: dict(zip(FATES, source.counts, strict=True)) for source in summary.sources
    }
    assert fates["alice"]["followed"] == 1
    assert fates["alice"]["waiting"] == 1
    assert fates["bob"]["outvoted"] == 1
    assert fates["bob"]["rejected"] == 1
    assert fates[HOSTILE]["limited"] == 1
    assert sum(sum(source.counts) for source in summary.sources) == summary.signals == 5


def test_signal_that_expired_after_it_was_followed_stays_followed() -> None:
    summary = summarise(LOG)
    assert summary.signals_expired == 1
    assert sum(source.counts[FATES.index("expired")] for source in summary.sources) == 0


def test_counts_come_from_every_shard() -> None:
    summary = summarise(LOG)
    assert summary.rejected == (("stale", 1),)
    assert summary.conflicts == (("mandate", 1), ("opposite_direction", 1))
    assert summary.rungs == (("solved", 1),)
    assert (summary.decisions, summary.trades, summary.signals_used) == (1, 1, 3)


def test_signals_that_no_round_used_are_told_by_fate_and_make_up_the_rest() -> None:
    summary = summarise(LOG)
    assert summary.signals_unused == (("rejected", 1), ("waiting", 1))
    unused = sum(count for _, count in summary.signals_unused)
    assert summary.signals_used + unused == summary.signals
    said = unused_spelled((*summary.signals_unused, ("dropped", 2)))
    assert (
        said
        == "1 rejected; 1 waiting: for a round, when the log ends; 2 dropped: heard, without weight"
    )


def test_dead_letters_and_inputs_without_effect_are_counted() -> None:
    summary = summarise(LOG)
    assert summary.dead_letters == 1
    assert summary.dead_letter_topics == ("signals.dlq",)
    assert summary.incidents == (("input_rejected", 1),)


def test_books_follow_fills_marks_and_money_paid_in() -> None:
    (curve,) = curves(LOG)
    assert [mark.at % DAY > 0 for mark in curve.marks] == [True] * 4
    cash = 1000 - 2 * (20 * 11.01 + 0.1)
    assert [mark.nav for mark in curve.marks] == pytest.approx(
        [1000, cash + 40 * 12, cash + 40 * 12 + 500, cash + 40 * 13 + 500]
    )
    assert curve.marks[2].growth == pytest.approx(curve.marks[1].growth)
    assert curve.fees == pytest.approx(0.2)
    assert curve.spread == pytest.approx(40 * 0.01)


def test_last_session_without_a_close_is_marked_at_its_last_price() -> None:
    (curve,) = curves(LOG)
    assert curve.marks[-1].at == START + 3 * DAY + DAY // 3


def test_decision_times_are_nearest_ranks_of_what_was_measured() -> None:
    summary = summarise(LOG, decision_seconds=[i / 1000 for i in range(1, 101)])
    assert summary.decision_times is not None
    assert (summary.decision_times.p50_ms, summary.decision_times.p99_ms) == (50.0, 99.0)
    assert summarise(LOG).decision_times is None


def test_baselines_stand_beside_the_portfolios() -> None:
    ledger = Ledger("index", BENCHMARK, 100.0, START)
    ledger.mark(START, {})
    summary = summarise(LOG, baselines=Baselines((ledger.curve(),), "held"))
    assert [row.name for row in summary.baselines] == ["index"]
    assert summary.baselines_note == "held"


def test_empty_log_has_an_empty_summary() -> None:
    summary = summarise(Planted().log)
    assert (summary.signals, summary.decisions, summary.sessions) == (0, 0, 0)
    assert summary.portfolios == ()


def test_books_begin_when_the_portfolio_opens_not_at_its_first_mark() -> None:
    (curve,) = curves(LOG)
    assert curve.opened_at == START < curve.marks[0].at


def test_hold_that_a_round_leaves_out_closed_a_view_and_was_not_dropped() -> None:
    run = Planted()
    for source, direction in (("alice", 0), ("bob", 1)):
        run.tell(signal(source, "s1", START, direction), START)
    run.say(
        RoundClosed(
            decision_id="main:1", portfolio="main", decided_at=START, round=1, opened_at=START,
            trigger="signals", signals_used=(), signals_new=0,
            signals_dropped=("alice/s1", "bob/s1"), conflicts=0, conflicts_reported=0,
            outcome="nothing_to_do",
        )
    )  # fmt: skip
    found = {one.source: FATES[one.counts.index(1)] for one in summarise(run.log).sources}
    assert found == {"alice": "closed", "bob": "dropped"}
