"""The same journal gives the same bits: in other processes, with other hash seeds and threads.

Also from a checkpoint, and from every kind of log. That the check catches what it is there for is
proven by planting a clock, a walk over a set and a start that remembers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import piqp
import pytest

from coordinator.bootstrap import build_engine
from coordinator.core import allocate, views
from coordinator.core.fold import Fold
from coordinator.core.ports import Append, LogReader
from coordinator.log.memory import MemoryLog
from coordinator.log.open import open_reader
from coordinator.log.segments import export
from coordinator.log.sqlite import SqliteLog
from replay.source import shards_of
from schemas.canonical import digest
from schemas.decisions import AllocationDecided
from tests.journals import events_of, lay, outputs, owners, zero_clock
from tests.recorded import end_of, recorded
from tests.simulation.decider import decide_again

ROOT = Path(__file__).resolve().parents[2]
SHARDS = 2


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded days with their decisions, and a checkpoint in the middle."""
    path = tmp_path_factory.mktemp("determinism") / "run.sqlite"
    inputs = recorded(1, days=2)
    with SqliteLog(path) as log:
        half = len(inputs) // 2
        lay(inputs[:half], log, shards=SHARDS)
        for owner in owners(log, shards=SHARDS):
            owner.recover()
            owner.checkpoint()
        rest = MemoryLog(clock=zero_clock)
        lay(inputs[half:], rest, shards=SHARDS, end=end_of(inputs))
        for shard in range(SHARDS):
            later = list(rest.read("journal", shard))[1:]
            log.append([Append("journal", shard, r.payload, r.journal_time) for r in later])
        for owner in owners(log, shards=SHARDS):
            owner.recover()
        assert len(events_of(log, AllocationDecided, shards=SHARDS)) > 10
    return path


@pytest.fixture(scope="module")
def recorded_hashes(sqlite: Path) -> dict[str, str]:
    return hashes_in(sqlite)


def hashes_in(path: Path) -> dict[str, str]:
    """Hash of each output that the log holds, by shard, position and ordinal."""
    with open_reader(path) as reader:
        return {
            f"{shard}/{entry.position}/{entry.ordinal}": entry.hash
            for shard in range(shards_of(reader))
            for entry in outputs(reader, shard)
        }


def in_a_process(
    log: Path, *options: str, seed: int = 0, threads: int = 1, **environment: str
) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.simulation.decider", str(log), *options]
    chosen = {
        "PYTHONHASHSEED": str(seed),
        "OPENBLAS_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **chosen, **environment}, capture_output=True,
        check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("seed", "threads"), [(0, 1), (1, 2), (4_000_000_000, 1)])
def test_every_process_hash_seed_and_thread_count_gives_the_recorded_bits(
    sqlite: Path, recorded_hashes: dict[str, str], seed: int, threads: int
) -> None:
    assert in_a_process(sqlite, seed=seed, threads=threads) == recorded_hashes


def test_a_start_from_a_checkpoint_gives_the_recorded_bits(
    sqlite: Path, recorded_hashes: dict[str, str]
) -> None:
    found = in_a_process(sqlite, "--checkpoint", seed=7, threads=2)
    assert 10 < len(found) < len(recorded_hashes)
    assert found.items() <= recorded_hashes.items()


def test_memory_sqlite_and_parquet_logs_give_the_same_bits(
    sqlite: Path, recorded_hashes: dict[str, str], tmp_path: Path
) -> None:
    memory = in_memory(sqlite)
    with open_reader(sqlite) as reader:
        export(reader, tmp_path / "segments")
    assert decide_again(memory, checkpoint=False) == recorded_hashes
    assert in_a_process(tmp_path / "segments", seed=42, threads=2) == recorded_hashes


# -- the check catches what it is there for --------------------------------------------------------


def in_memory(path: Path) -> MemoryLog:
    """A copy of a log that costs no reading."""
    memory = MemoryLog(clock=zero_clock)
    with open_reader(path) as reader:
        for topic, shard in reader.partitions():
            for r in reader.read(topic, shard):
                memory.append([Append(topic, shard, r.payload, r.journal_time)])
    return memory


def test_a_planted_clock_is_caught(
    sqlite: Path, recorded_hashes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = views.horizon_of

    def by_the_clock(*args: Any) -> float:
        return real(*args) * (1.0 + time.time() % 1.0 * 1e-9)

    monkeypatch.setattr(allocate, "horizon_of", by_the_clock)
    first = decide_again(in_memory(sqlite), checkpoint=False)
    assert first != recorded_hashes
    assert first != decide_again(in_memory(sqlite), checkpoint=False)


def test_a_planted_walk_over_a_set_is_caught(sqlite: Path, recorded_hashes: dict[str, str]) -> None:
    found = [in_a_process(sqlite, "--walk-a-set", seed=seed) for seed in (0, 1)]
    assert found[0] != found[1]
    assert recorded_hashes not in found


def remembering() -> type:
    """A solver that goes on with what the last problem of its size left behind."""
    kept: dict[int, piqp.DenseSolver] = {}
    real = piqp.DenseSolver

    class Remembering:
        """In the place of piqp.DenseSolver."""

        def __init__(self) -> None:
            self.settings = real().settings
            self.solver = real()

        def setup(self, **numbers: Any) -> None:
            known = kept.get(len(numbers["c"]))
            if known is None:
                kept[len(numbers["c"])] = self.solver
                for name in ("eps_abs", "eps_rel", "max_iter"):
                    setattr(self.solver.settings, name, getattr(self.settings, name))
                self.solver.setup(**numbers)
                return
            self.solver = known
            known.settings.preconditioner_reuse_on_update = True
            known.update(**numbers)

        def solve(self) -> Any:
            return self.solver.solve()

        @property
        def result(self) -> Any:
            return self.solver.result

    return Remembering


def test_a_planted_warm_start_is_caught(
    sqlite: Path, recorded_hashes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piqp, "DenseSolver", remembering())
    whole = decide_again(in_memory(sqlite), checkpoint=False)
    monkeypatch.undo()
    monkeypatch.setattr(piqp, "DenseSolver", remembering())
    resumed = decide_again(in_memory(sqlite), checkpoint=True)
    assert whole != recorded_hashes
    assert not resumed.items() <= whole.items()


# -- the demo's own log ----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demos_log_gives_its_bits_again_everywhere(tmp_path: Path) -> None:
    command: list[Any] = [sys.executable, "-m", "coordinator.cli.main", "demo", "--out", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    log = tmp_path / "run.sqlite"
    expected = hashes_in(log)
    assert len(expected) > 100
    for seed, threads in ((0, 1), (1, 2), (7, 1), (42, 2), (4_000_000_000, 1)):
        assert in_a_process(log, seed=seed, threads=threads) == expected
    with open_reader(log) as reader:
        resumed = [h for n in range(shards_of(reader)) for h in resumed_halfway(reader, n)]
    assert set(resumed) <= set(expected.values())
    assert len(resumed) > len(expected) // 4


def resumed_halfway(reader: LogReader, shard: int) -> list[str]:
    """Hashes of a shard's outputs by an engine that begins at a checkpoint of the middle."""
    folds = [Fold(reader, build_engine(shard=shard, shards=shards_of(reader))) for _ in range(2)]
    folds[0].start(None)
    for record in reader.read("journal", shard, 0, reader.end("journal", shard) // 2):
        folds[0].step(record)
    folds[1].start(folds[0].engine.checkpoint())
    return [digest(entry) for record in folds[1].journal() for entry in folds[1].step(record)]
