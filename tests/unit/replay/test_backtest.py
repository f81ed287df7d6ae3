"""The backtest player: what it copies, drops and adds, and in which order."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from coordinator.core.engine import Engine
from coordinator.core.ports import Append
from coordinator.core.route import DeadLetter, encode_dead_letter
from coordinator.log.memory import MemoryLog
from coordinator.log.open import open_reader
from coordinator.log.segments import export
from coordinator.log.sqlite import SqliteLog
from replay.backtest import BacktestSummary, backtest, run_backtest
from replay.errors import NothingToReplay, OutputExists
from replay.market import SIMULATED
from replay.verify import verify
from schemas.books import PortfolioViewUpdated
from schemas.entries import Stamp, decode_output, encode_journal
from schemas.journal import ClockTicked, EngineStarted
from schemas.market import PricesObserved
from schemas.orders import Fill, OrderFilled
from tests.unit.replay.worlds import copied, input_log, journal, messages, said

Played = tuple[MemoryLog, BacktestSummary]


def test_every_input_is_copied_with_its_origin_in_its_order(
    inputs: MemoryLog, run: MemoryLog
) -> None:
    for shard in (0, 1):
        before = [record.payload for record, _ in journal(inputs, shard)][1:]
        after = [
            record.payload
            for record, entry in journal(run, shard)
            if entry.stamp.topic != "journal" and entry.stamp.topic_id != SIMULATED
        ]
        assert after == before


def test_a_run_begins_with_this_engine_and_times_never_go_back(run: MemoryLog) -> None:
    for shard in (0, 1):
        entries = journal(run, shard)
        assert isinstance(entries[0][1].event, EngineStarted)
        assert sum(isinstance(entry.event, EngineStarted) for _, entry in entries) == 1
        times = [record.journal_time for record, _ in entries]
        assert times == sorted(times)


def test_fills_stand_right_after_the_prices_they_were_made_at(run: MemoryLog) -> None:
    fills = 0
    for shard in (0, 1):
        previous = None
        for record, entry in journal(run, shard):
            if isinstance(entry.event, Fill):
                fills += 1
                assert previous is not None
                assert isinstance(previous[1].event, PricesObserved | Fill)
                assert previous[0].journal_time == record.journal_time
            previous = (record, entry)
    assert fills > 5


def test_every_timer_that_was_due_has_its_tick_before_the_next_input(run: MemoryLog) -> None:
    ticks = [
        record.journal_time
        for shard in (0, 1)
        for record, entry in journal(run, shard)
        if isinstance(entry.event, ClockTicked)
    ]
    decided = {
        record.position
        for record, entry in journal(run, 1)
        if not isinstance(entry.event, ClockTicked)
    }
    assert ticks
    assert all(
        int(line.split(b'"position":')[1].split(b",")[0]) not in decided
        for line in (record.payload for record in run.read("decisions", 1))
        if line.startswith(b'{"type":"AllocationDecided"')
    )


def test_counts_add_up(inputs: MemoryLog, played: Played) -> None:
    run, summary = played
    assert summary.inputs + summary.clock_dropped + summary.feedback_dropped == sum(
        inputs.end("journal", shard) for shard in (0, 1)
    )
    assert summary.inputs + summary.ticks + summary.fills + summary.shards == sum(
        run.end("journal", shard) for shard in (0, 1)
    )
    assert summary.outputs == sum(run.end("decisions", shard) for shard in (0, 1))
    assert len(summary.decision_seconds) == summary.decisions > 0
    assert (summary.decision_ms(0.5) or 0) <= (summary.decision_ms(0.99) or 0)


def test_the_last_signal_of_a_log_is_still_decided(run: MemoryLog) -> None:
    last = max(
        record.journal_time
        for shard in (0, 1)
        for record, entry in journal(run, shard)
        if entry.stamp.topic == "signals" and b'"alpha"' in record.payload
    )
    assert any(
        record.journal_time > last and record.payload.startswith(b'{"type":"RoundClosed"')
        for shard in (0, 1)
        for record in run.read("decisions", shard)
    )


def test_a_portfolios_decisions_do_not_depend_on_the_number_of_shards(run: MemoryLog) -> None:
    expected = said(run)
    for shards in (1, 3):
        out = MemoryLog(clock=lambda: 0)
        run_backtest(input_log(shards=shards, sessions=5), out)
        assert said(out) == expected


def test_a_run_played_again_gives_the_same_run(run: MemoryLog, played: Played) -> None:
    again = MemoryLog(clock=lambda: 0)
    summary = run_backtest(run, again)
    assert said(again) == said(run)
    assert summary.feedback_dropped == played[1].fills
    assert summary.clock_dropped == played[1].ticks + 2
    for shard in (0, 1):
        assert list(again.read("journal", shard)) == list(run.read("journal", shard))


def test_foreign_fills_are_dropped_and_counted(inputs: MemoryLog) -> None:
    log = copied(inputs, lambda record: record.payload)
    fill = OrderFilled(
        event_id="real", event_time=0, portfolio="closing", instrument="AAA",
        quantity=Decimal(5), price=Decimal(1),
    )  # fmt: skip
    entry = encode_journal(Stamp("orders", "broker", 0, 0, 0), fill)
    log.append([Append("journal", 0, entry, 2**61)])
    out = MemoryLog(clock=lambda: 0)
    assert run_backtest(log, out).feedback_dropped == 1
    assert all(b'"broker"' not in record.payload for record in out.read("journal", 0))


def test_dead_letters_come_along(inputs: MemoryLog) -> None:
    log = copied(inputs, lambda record: record.payload)
    letter = encode_dead_letter(DeadLetter("signals", "row 3", "no source", b"{}"))
    log.append([Append("signals.dlq", 0, letter, 5)])
    out = MemoryLog(clock=lambda: 0)
    assert run_backtest(log, out).dead_letters == 1
    assert [record.payload for record in out.read("signals.dlq", 0)] == [letter]


def test_a_long_only_portfolio_is_never_short_of_cash_or_units(run: MemoryLog) -> None:
    views = [
        event
        for shard in (0, 1)
        for record in run.read("decisions", shard)
        if isinstance(event := decode_output(record.payload).event, PortfolioViewUpdated)
        and event.portfolio in {"closing", "prompt"}
    ]
    assert any(view.holdings for view in views)
    assert all(view.cash >= 0 for view in views)
    assert all(holding.quantity > 0 for view in views for holding in view.holdings)


def test_the_package_gives_functions_whatever_was_imported_before() -> None:
    code = "import replay.backtest, replay.verify; from replay import backtest, verify; "
    code += "assert callable(backtest) and callable(verify)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_inputs_journaled_twice_change_nothing(inputs: MemoryLog, run: MemoryLog) -> None:
    doubled = MemoryLog(clock=lambda: 0)
    for topic, shard in inputs.partitions():
        for record in inputs.read(topic, shard):
            again = Append(topic, shard, record.payload, record.journal_time)
            doubled.append([again, again])
    out = MemoryLog(clock=lambda: 0)
    run_backtest(doubled, out)
    assert said(out) == said(run)


def test_a_record_that_cannot_be_decoded_is_copied_and_quarantined(inputs: MemoryLog) -> None:
    log = copied(inputs, lambda record: record.payload)
    log.append([Append("journal", 0, b"\xff", 2**60)])
    out = MemoryLog(clock=lambda: 0)
    run_backtest(log, out)
    assert [one.payload for one in out.read("journal", 0) if one.payload == b"\xff"]
    assert any(b'"RecordQuarantined"' in one.payload for one in out.read("decisions", 0))
    assert verify(out).ok


def test_a_log_without_a_journal_is_refused() -> None:
    with pytest.raises(NothingToReplay, match="import"):
        run_backtest(MemoryLog(), MemoryLog())


def test_files_of_either_kind_give_the_run_that_memory_gives(
    inputs: MemoryLog, run: MemoryLog, tmp_path: Path
) -> None:
    export(inputs, tmp_path / "inputs")
    seen: list[tuple[int, int, int]] = []
    summary = backtest(
        tmp_path / "inputs", tmp_path / "run.sqlite", progress=lambda *at: seen.append(at)
    )
    reader = open_reader(tmp_path / "run.sqlite")
    assert said(reader) == said(run)
    reader.close()
    assert verify(tmp_path / "run.sqlite").ok
    assert seen[0][0] <= seen[0][1]
    assert summary.decisions > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs", "run.sqlite"]


def small(path: Path) -> Path:
    """A SQLite log that is quick to play: no signal in it."""
    made = [one for one in messages(sessions=1) if one[1] != "signals"]
    log = input_log(shards=1, made=made)
    with SqliteLog(path) as written:
        written.append(
            [Append("journal", 0, one.payload, one.journal_time) for one in log.read("journal", 0)]
        )
    return path


def test_an_existing_log_is_replaced_only_by_force_and_anything_else_never(tmp_path: Path) -> None:
    log, out = small(tmp_path / "in.sqlite"), small(tmp_path / "out.sqlite")
    before = out.read_bytes()
    with pytest.raises(OutputExists, match="--force"):
        backtest(log, out)
    assert out.read_bytes() == before
    backtest(log, out, force=True)
    assert verify(out).ok
    out.write_text("precious")
    with pytest.raises(OutputExists, match="not a result of ours"):
        backtest(log, out, force=True)
    assert out.read_text() == "precious"


def test_the_log_that_is_read_is_never_overwritten(tmp_path: Path) -> None:
    log = small(tmp_path / "in.sqlite")
    with pytest.raises(OutputExists, match="takes part in this run"):
        backtest(log, log, force=True)
    with pytest.raises(OutputExists, match="no regular file"):
        backtest(log, tmp_path, force=True)


def test_a_run_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, out = small(tmp_path / "in.sqlite"), tmp_path / "out.sqlite"
    (tmp_path / ".out.sqlite.partial").write_text("of a run that was killed")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        backtest(log, out)
    assert [path.name for path in tmp_path.iterdir()] == ["in.sqlite"]
