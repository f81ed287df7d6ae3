"""What somebody who may write the log, hashes and all, tries: each attempt is found or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_core import from_json, to_json

from coordinator.cli.main import main
from coordinator.core.checkpoint import CheckpointError, decode_state
from coordinator.core.fold import checkpoints
from coordinator.core.ports import Append, Record
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from coordinator.quality.reasons import ExplainError, NothingDecided, explain_decision
from replay import audit_lookahead, backtest, verify
from replay.backtest import run_backtest
from replay.errors import NothingToReplay, ReplayError
from schemas.canonical import digest
from schemas.decisions import AllocationDecided
from schemas.entries import GENESIS, decode_output, encode_output
from schemas.journal import EngineStarted
from tests.unit.replay.forgeries import (
    a_decision,
    difference,
    forged_decision,
    with_records,
    without_shard,
)
from tests.unit.replay.worlds import DAY, copied, input_log, messages

# -- partitions --------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["decisions", "checkpoints"])
def test_what_is_said_without_a_journal_is_a_difference(run: MemoryLog, topic: str) -> None:
    _, forged = forged_decision(run)
    found = difference(with_records(run, Append(topic, 7, forged, 1)))
    assert found.kind == "partitions"
    assert [field.path for field in found.fields] == [f"{topic}/7"]
    alone = MemoryLog()
    alone.append([Append(topic, 7, forged, 1)])
    assert difference(alone).kind == "partitions"


def test_a_shard_that_was_deleted_is_missed_by_name(run: MemoryLog) -> None:
    for shard in (0, 1):
        found = difference(without_shard(run, shard))
        assert (found.kind, found.shard) == ("partitions", shard)
        assert [field.path for field in found.fields] == [f"journal/{shard}"]


def test_a_journal_more_than_the_log_was_laid_out_for_is_a_difference(run: MemoryLog) -> None:
    start = next(run.read("journal", 0))
    found = difference(with_records(run, Append("journal", 2, start.payload, start.journal_time)))
    assert [field.path for field in found.fields] == ["journal/2"]


def test_journals_that_disagree_about_the_shards_are_a_difference(run: MemoryLog) -> None:
    def more(record: Record) -> bytes:
        one = record.topic == "journal" and record.shard == 1
        return record.payload.replace(b'"shards":2', b'"shards":3') if one else record.payload

    found = difference(copied(run, more))
    assert (found.shard, found.event) == (1, EngineStarted.__name__)
    assert [field.path for field in found.fields] == ["event.shards"]


def test_a_log_that_lacks_a_shard_is_neither_played_nor_audited(
    run: MemoryLog, tmp_path: Path
) -> None:
    for shard in (0, 1):
        partial = without_shard(run, shard)
        with pytest.raises(NothingToReplay, match=f"journal/{shard}"):
            audit_lookahead(partial)
        with pytest.raises(NothingToReplay, match=f"journal/{shard}"):
            backtest(partial, tmp_path / "out.sqlite")


def test_outputs_beyond_the_journal_spoil_an_audit(run: MemoryLog) -> None:
    _, forged = forged_decision(run)
    with pytest.raises(ReplayError, match="do not follow"):
        audit_lookahead(with_records(run, Append("decisions", 1, forged, 1)), cuts=1)


# -- explain -----------------------------------------------------------------------------------


def test_a_decision_told_twice_is_not_explained(run: MemoryLog) -> None:
    name, forged = forged_decision(run)
    assert explain_decision(run, name).turnover != 0.9
    for shard in (0, 1, 7):
        with pytest.raises(ExplainError, match="replay --verify"):
            explain_decision(with_records(run, Append("decisions", shard, forged, 1)), name)


def test_a_record_written_again_is_still_one_decision(run: MemoryLog) -> None:
    record = a_decision(run)
    name, _ = forged_decision(run)
    again = with_records(run, Append("decisions", record.shard, record.payload, 1))
    assert explain_decision(again, name) == explain_decision(run, name)


def test_a_decision_off_the_chain_is_not_explained(run: MemoryLog) -> None:
    event = decode_output(a_decision(run).payload).event
    assert isinstance(event, AllocationDecided)
    ghost = event.model_copy(update={"decision_id": "ghost:1"})
    end = run.end("decisions", 1)
    for shard, seq in ((1, 0), (1, end), (1, end + 5), (7, 0)):
        log = with_records(
            run, Append("decisions", shard, encode_output(0, 0, seq, GENESIS, ghost), 1)
        )
        with pytest.raises(ExplainError):
            explain_decision(log, "ghost:1")


def test_a_log_of_inputs_is_told_to_be_played_first(inputs: MemoryLog) -> None:
    with pytest.raises(NothingToReplay, match="coordinator backtest"):
        verify(inputs)
    with pytest.raises(NothingDecided, match="coordinator backtest"):
        explain_decision(inputs, "closing:1")


def test_decisions_that_were_all_deleted_are_still_missed_where_a_state_tells_of_them(
    run: MemoryLog,
) -> None:
    cut = copied(run, lambda record: None if record.topic == "decisions" else record.payload)
    assert difference(cut).kind == "missing"


# -- checkpoints -------------------------------------------------------------------------------


def a_checkpoint(log: MemoryLog) -> Record:
    return next(record for shard in (0, 1) for record in log.read("checkpoints", shard))


def resealed(payload: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """A checkpoint with a part or the head changed, and its hashes made anew."""
    offset, head_line, *bodies = payload.split(b"\n")
    head = from_json(head_line)
    for index, (name, _) in enumerate(head["parts"]):
        if name == part:
            assert old in bodies[index]
            bodies[index] = bodies[index].replace(old, new, 1)
            head["parts"][index][1] = digest(bodies[index])
    spelled = to_json(head)
    if part == "head":
        assert old in spelled
        spelled = spelled.replace(old, new, 1)
    return b"\n".join([offset, spelled, *bodies])


def position_of(payload: bytes) -> int:
    position: int = from_json(payload.split(b"\n")[1])["position"]
    return position


FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "other state": lambda p: resealed(p, "engine", b'"paused":false', b'"paused":true'),
    "position beyond": lambda p: resealed(
        p, "head", b'"position":%d' % position_of(p), b'"position":99999999'
    ),
    "position as text": lambda p: resealed(
        p, "head", b'"position":%d' % position_of(p), b'"position":"%d"' % position_of(p)
    ),
    "position a fraction": lambda p: resealed(
        p, "head", b'"position":%d' % position_of(p), b'"position":%d.5' % position_of(p)
    ),
    "position null": lambda p: resealed(
        p, "head", b'"position":%d' % position_of(p), b'"position":null'
    ),
    "other offset": lambda p: b"1" + p,
    "offset of many digits": lambda p: b"9" * 5_000 + p,
    "no offset": lambda p: b"x" + p,
    "part too many": lambda p: p + b"\n{}",
    "part missing": lambda p: p.rpartition(b"\n")[0],
    "garbage": lambda _: b"\xff\x00",
    "nothing": lambda _: b"",
    "a list": lambda _: b"0\n[]",
    "deep": lambda _: b"0\n" + b"[" * 100_000,
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_checkpoint_never_passes_a_whole_verification(
    run: MemoryLog, forgery: str
) -> None:
    good = a_checkpoint(run)
    forged = FORGERIES[forgery](good.payload)
    assert forged != good.payload
    log = with_records(run, Append("checkpoints", good.shard, forged, good.journal_time))
    found = difference(log)
    assert (found.kind, found.shard) == ("state", good.shard)
    assert found.fields
    for shard in (0, 1):
        checkpoints(log, shard)


def test_a_checkpoint_written_again_is_no_difference(run: MemoryLog) -> None:
    good = a_checkpoint(run)
    assert verify(
        with_records(run, Append("checkpoints", good.shard, good.payload, good.journal_time))
    ).ok


BROKEN_STATES = [
    ("engine", b'"position":', b'"position":"zz","was":'),
    ("engine", b'"position":', b'"position":null,"was":'),
    ("engine", b'"position":', b'"position":1e400,"was":'),
    ("engine", b'"position":', b'"place":'),
    ("engine", b'"clock":', b'"clock":1.5,"was":'),
    ("engine", b'"paused":false', b'"paused":0'),
    ("engine", b'"timers":[', b'"timers":[["a","b"],'),
    ("engine", b'"marks":[', b'"marks":[["a",5],'),
    ("market", b'"session":', b'"session":-1,"was":'),
    ("market", b'"rows":', b'"rows":"many","was":'),
    ("market", b'"price":"', b'"price":"AAAA'),
    ("market", b'"column":0', b'"column":7'),
    ("parameters", b"{", b'{"window_ms":1e400,"was":{'),
    ("views", b"[", b"[1e400"),
]


@pytest.mark.parametrize(("part", "old", "new"), BROKEN_STATES)
def test_a_state_that_makes_no_sense_is_no_checkpoint(
    run: MemoryLog, part: str, old: bytes, new: bytes
) -> None:
    forged = resealed(a_checkpoint(run).payload, part, old, new).partition(b"\n")[2]
    with pytest.raises(CheckpointError):
        decode_state(forged)


GARBAGE = [
    b"", b"null", b"[]", b"{}", b'{"parts":5}', b'{"parts":[[1]]}', b'{"format":1,"parts":[]}',
    b"[" * 100_000, b"1e400",
]  # fmt: skip


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_is_no_checkpoint(body: bytes) -> None:
    with pytest.raises(CheckpointError):
        decode_state(body)


# -- times -------------------------------------------------------------------------------------


def moved(log: MemoryLog, topic: str, by: int, *, to: int | None = None) -> MemoryLog:
    """The log with the last record of each partition of a topic at another journal time."""
    made = MemoryLog(clock=lambda: 0)
    for name, shard in log.partitions():
        for record in log.read(name, shard):
            last = name == topic and record.position == log.end(name, shard) - 1
            at = record.journal_time + by if to is None else to
            made.append([Append(name, shard, record.payload, at if last else record.journal_time)])
    return made


@pytest.mark.parametrize("tolerance", [False, True])
def test_an_output_has_the_time_of_its_cause(run: MemoryLog, tolerance: bool) -> None:
    found = difference(moved(run, "decisions", 10**15), tolerance=tolerance)
    assert [field.path for field in found.fields] == ["journal_time"]


def test_a_checkpoint_has_the_time_of_its_state(run: MemoryLog) -> None:
    found = difference(moved(run, "checkpoints", 10**15))
    assert [field.path for field in found.fields] == ["journal_time"]


@pytest.mark.parametrize("at", [2**63 - 1, -(2**63), 2**62, -1])
def test_a_time_that_is_none_is_refused_in_words(run: MemoryLog, at: int, tmp_path: Path) -> None:
    log = moved(run, "journal", 0, to=at)
    for attempt in (verify, audit_lookahead, lambda one: backtest(one, tmp_path / "o.sqlite")):
        with pytest.raises(ReplayError, match=r"journal/0 position \d+: journal time"):
            attempt(log)


def test_a_run_that_ends_with_time_itself_is_played() -> None:
    last = max(at for at, _, _ in messages(sessions=2))
    late = MemoryLog()
    for record in input_log(shards=1, sessions=2).read("journal", 0):
        at = record.journal_time + 2**62 - 1 - last
        late.append([Append("journal", 0, record.payload, at)])
    assert run_backtest(late, MemoryLog()).decisions


# -- commands ----------------------------------------------------------------------------------


def on_disk(log: MemoryLog, path: Path) -> str:
    with SqliteLog(path) as written:
        for topic, shard in log.partitions():
            written.append(
                [
                    Append(topic, shard, record.payload, record.journal_time)
                    for record in log.read(topic, shard)
                ]
            )
    return str(path)


def test_commands_say_what_is_wrong_and_exit_so(
    run: MemoryLog, inputs: MemoryLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = on_disk(without_shard(run, 0), tmp_path / "partial.sqlite")
    assert main(["replay", "--verify", "--log", partial]) == 3
    assert "journal/0" in capsys.readouterr().out
    assert main(["replay", "--verify", "--log", partial, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["layout"]["kind"] == "partitions"
    bare = on_disk(inputs, tmp_path / "inputs.sqlite")
    assert main(["replay", "--verify", "--log", bare]) == 1
    assert main(["explain", "closing:1", "--log", bare]) == 1
    assert capsys.readouterr().err.count("coordinator backtest makes some") == 2
    name, forged = forged_decision(run)
    twice = with_records(run, Append("decisions", 1, forged, DAY))
    assert main(["explain", name, "--log", on_disk(twice, tmp_path / "twice.sqlite")]) == 1
    assert "two records" in capsys.readouterr().err


@pytest.mark.parametrize("cuts", ["0", "1001", "99999999999999999999", "9" * 5_000, "-1", "x"])
def test_a_number_of_cuts_that_would_never_end_is_a_usage_error(cuts: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["audit", "lookahead", "--log", "none", "--cuts", cuts])
    assert caught.value.code == 2


@pytest.mark.parametrize("cuts", [0, 1001])
def test_an_audit_refuses_that_number_itself(run: MemoryLog, cuts: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        audit_lookahead(run, cuts=cuts)
