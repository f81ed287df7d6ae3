from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from coordinator.cli import demo as command
from coordinator.cli.results import print_results
from coordinator.core.route import Routed, route
from coordinator.log.sqlite import SqliteLog
from projections import rows
from projections.rows import FillRow, PortfolioViewRow
from replay.demo.messages import CASH, PORTFOLIOS, confidence, messages, strength
from replay.demo.play import DemoRun, baselines, play
from replay.demo.recording import Change, load
from replay.report import write_report
from replay.report.accounts import curves
from replay.report.summary import FATES
from replay.report.trades import Unfilled
from schemas.base import InputEvent
from schemas.entries import decode_journal
from schemas.market import InstrumentListed
from schemas.signals import SignalIssued

RECORDING = load()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    return play(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def log(demo: DemoRun) -> Iterator[SqliteLog]:
    with SqliteLog(demo.log, readonly=True) as found:
        yield found


def change(quantity: float, *, held: float = 0.0, share: float = 0.05) -> Change:
    return Change("a", 0, "600000.SH", quantity, held, 10.0, abs(quantity) * 10.0 / share)


def test_full_entry_and_full_exit_are_as_strong_as_a_direction_alone() -> None:
    assert strength(change(500)) == strength(change(-500, held=500)) == 0.6827
    assert strength(change(100, held=300)) == pytest.approx(0.6827 / 4)


def test_change_of_five_percent_means_the_prior_skill() -> None:
    assert confidence(change(100)) == pytest.approx(0.5)
    assert confidence(change(100, share=1.0)) < 1


def test_every_message_is_routed_and_none_comes_before_its_time() -> None:
    last = 0
    for message in messages(RECORDING):
        routed = route(message.raw, shards=8)
        assert isinstance(routed, Routed)
        event = decode_journal(routed.entry).event
        assert isinstance(event, InputEvent)
        assert event.event_time == message.journal_time >= last
        last = message.journal_time


def test_messages_hold_one_signal_per_net_change_and_prices_before_signals() -> None:
    kinds = [json.loads(message.raw.payload)["type"] for message in messages(RECORDING)]
    assert Counter(kinds)["SignalIssued"] == 842
    assert Counter(kinds)["PricesObserved"] == 30 + 29
    assert kinds.index("PricesObserved") < kinds.index("SignalIssued")


def test_star_names_trade_in_200_and_move_up_to_twenty_percent() -> None:
    terms = {}
    for message in messages(RECORDING):
        routed = route(message.raw, shards=1)
        assert isinstance(routed, Routed)
        event = decode_journal(routed.entry).event
        if isinstance(event, InstrumentListed):
            terms[event.instrument] = (event.lot, event.price_limit)
    assert terms["688981.SH"] == (Decimal(200), 0.2)
    assert terms["600519.SH"] == (Decimal(100), 0.1)


def test_demo_decides_every_session_for_three_portfolios(demo: DemoRun) -> None:
    assert demo.summary.decisions == 3 * 29
    assert [row.name for row in demo.summary.portfolios] == sorted(PORTFOLIOS)
    assert demo.summary.sessions == 30
    assert demo.played.dead_letters == 0


def test_demo_accounts_for_every_signal(demo: DemoRun) -> None:
    fates = [sum(counts) for counts in zip(*(s.counts for s in demo.summary.sources), strict=True)]
    assert sum(fates) == demo.summary.signals == 842
    # The last session never closes: what was said in it waits, everything else was heard.
    late = sum(change.session == 29 for agent in RECORDING.agents for change in agent.changes)
    assert dict(zip(FATES, fates, strict=True))["waiting"] == late


def test_demo_finds_real_conflicts(demo: DemoRun) -> None:
    assert dict(demo.summary.conflicts)["opposite_direction"] > 100
    assert demo.decision is not None


def test_books_of_the_report_agree_with_the_engines_own(log: SqliteLog) -> None:
    marks = {(c.name, mark.at): mark for c in curves(log) for mark in c.marks}
    compared = 0
    for row in rows(log):
        if isinstance(row, PortfolioViewRow) and (row.portfolio, row.at) in marks:
            mark = marks[row.portfolio, row.at]
            assert mark.nav == pytest.approx(float(row.nav), abs=0.01)
            assert mark.gross == pytest.approx(row.gross, abs=1e-6)
            compared += 1
    assert compared > 30


def test_signals_of_a_portfolio_stand_in_the_log_as_the_recording_has_them(log: SqliteLog) -> None:
    said = Counter(
        event.source
        for record in log.read("journal", 0)
        if isinstance(event := decode_journal(record.payload).event, SignalIssued)
    )
    assert said == {agent.name: len(agent.changes) for agent in RECORDING.agents}


def test_report_is_the_same_when_it_is_written_again(
    demo: DemoRun, log: SqliteLog, tmp_path: Path
) -> None:
    again = [tmp_path / "a.html", tmp_path / "b.html"]
    for path in again:
        write_report(log, path, title="x", baselines=baselines(RECORDING))
    assert again[0].read_bytes() == again[1].read_bytes()
    assert demo.report.stat().st_size < 400_000


def test_baselines_are_both_books_of_seven_agents_and_two_ways_of_holding() -> None:
    groups = Counter(curve.group for curve in baselines(RECORDING).curves)
    assert groups == {"agent, as recorded": 7, "agent, next open": 7, "benchmark": 2}
    assert CASH == 10_000_000


def test_baselines_buy_no_earlier_than_the_portfolios_could(log: SqliteLog) -> None:
    first = min(row.event_time for row in rows(log) if isinstance(row, FillRow))
    for curve in baselines(RECORDING).curves:
        if curve.group == "benchmark":
            bought = next(mark.at for mark in curve.marks if mark.gross > 0)
            assert bought == RECORDING.sessions[1].closed_at
            assert curve.marks[0].growth == 1.0
    assert first == RECORDING.sessions[1].opened_at


def test_results_name_dead_letters_and_portfolios_that_were_never_filled(demo: DemoRun) -> None:
    console = Console(file=StringIO(), width=100, highlight=False)
    summary = replace(
        demo.summary,
        dead_letters=2,
        dead_letter_topics=("signals.dlq",),
        unfilled=(Unfilled("ba\x1bd", 3, (("expired", 3),)),),
    )
    print_results(console, summary, log="a b.sqlite")
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "coordinator events --topic signals.dlq --log 'a b.sqlite'" in text
    assert "WARNING: ba\\x1bd was never filled: it decided 3 trades (3 expired)." in text
    trades = demo.summary.trades
    assert f"{trades} decided ({trades} filled)" in text


@pytest.mark.parametrize("width", [80, 100])
def test_figures_fit_the_terminal(demo: DemoRun, width: int) -> None:
    console = Console(file=StringIO(), width=width, highlight=False)
    print_results(console, demo.summary, log="run.sqlite")
    printed = console.file
    assert isinstance(printed, StringIO)
    text = printed.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "deepseek-chat-v3.1" in text
    assert "significance is claimed" in text
    assert ("spread" in text) == (width == 100)


def test_command_leaves_a_log_and_a_report_and_prints_one_line_of_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["demo", "--out", str(tmp_path / "new" / "folder"), "--json"])
    assert args.run(args) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    found = json.loads(printed)
    assert found["summary"]["decisions"] == 87
    assert Path(found["log"]).exists()
    assert Path(found["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
