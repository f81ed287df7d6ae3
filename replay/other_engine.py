"""Another build's ranges, verified by that build: a process in its own environment.

Place in the flow: after verify, for the ranges that this engine did not decide. The other engine
reads the same log and answers as `coordinator replay --verify --json` does. It must never be given
this process's modules, nor be believed about ranges that are not its own.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from replay.divergence import Difference
from replay.errors import EngineFailed
from replay.reported import FirstDifference, RangeReport, Result, ShardReport, VerifyReport

__all__ = ["answered_by"]

_ANSWERS = (0, 3, 4)
"""Exit codes with which a verification has something to say."""
_NOT_ITS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables that would give the other interpreter our modules."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the other engine said.

    ranges: results by shard and first position; None where it knows no ranges: all is its own then.
    """

    code: int
    ranges: dict[tuple[int, int], str] | None
    differences: dict[int, FirstDifference]


def answered_by(
    report: VerifyReport, environment: str | Path, log: str, *, from_checkpoint: bool = False
) -> VerifyReport:
    """The report with what another environment's engine found in the ranges nobody compared.

    environment: folder of a virtual environment whose `coordinator` is that build. Raises
    EngineFailed.
    """
    if not any(one.result is Result.OTHER_ENGINE for one in report.ranges):
        return report
    answer = _asked(Path(environment), log, from_checkpoint=from_checkpoint)
    ranges = tuple(_merged(one, answer, str(environment)) for one in report.ranges)
    differing = {
        one.range.shard
        for one in ranges
        if one.by == str(environment) and one.result in {Result.DIFFERENT, Result.UNSAID}
    }
    shards = tuple(
        _with_difference(one, answer.differences.get(one.shard)) if one.shard in differing else one
        for one in report.shards
    )
    return replace(report, shards=shards, ranges=ranges)


def _asked(environment: Path, log: str, *, from_checkpoint: bool) -> _Answer:
    """Run the other engine on the log, and read what it says."""
    command = environment / "bin" / "coordinator"
    words = ["replay", "--verify", "--json", "--log", log]
    words += ["--from-checkpoint"] if from_checkpoint else []
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_ITS}
    try:
        done = subprocess.run(  # noqa: S603 - the user's own program, named by the user; no shell
            [command, *words], stdin=subprocess.DEVNULL, capture_output=True, check=False,
            env=inherited,
        )  # fmt: skip
    except OSError as error:
        what = f"{command} cannot be run ({error.strerror})"
        raise EngineFailed(f"{what}; give the folder of a virtual environment") from error
    if done.returncode not in _ANSWERS:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["nothing"]
        raise EngineFailed(f"{command} ended with exit code {done.returncode}: {said[0]}")
    try:
        return _read(done.returncode, done.stdout)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if done.returncode == _ANSWERS[-1]:
            return _Answer(done.returncode, {}, {})  # a build that refuses a log of several engines
        raise EngineFailed(f"{command} answered what is no report of verify") from error


def _read(code: int, stdout: bytes) -> _Answer:
    told = from_json(stdout)
    ranges = None
    if "ranges" in told:
        ranges = {(one["shard"], one["first"]): one["result"] for one in told["ranges"]}
    found = (one["difference"] for one in told["shards"])
    return _Answer(code, ranges, {one["shard"]: _difference(one) for one in found if one})


def _difference(told: dict[str, Any]) -> FirstDifference:
    fields = tuple(
        Difference(one["path"], one["recorded"], one["derived"]) for one in told["fields"]
    )
    return FirstDifference(**{**told, "fields": fields})


def _merged(one: RangeReport, answer: _Answer, environment: str) -> RangeReport:
    if one.result is not Result.OTHER_ENGINE:
        return one
    if answer.ranges is None:
        shard_differs = one.range.shard in answer.differences
        said = Result.DIFFERENT.value if shard_differs else Result.IDENTICAL.value
    else:
        said = answer.ranges.get((one.range.shard, one.range.first), "")
    if said not in {Result.IDENTICAL, Result.DIFFERENT, Result.UNSAID}:
        return one
    return replace(one, result=Result(said), by=environment)


def _with_difference(shard: ShardReport, found: FirstDifference | None) -> ShardReport:
    """The shard with the earlier one of two differences."""
    ours = shard.difference
    if found is None or (ours is not None and ours.position <= found.position):
        return shard
    return replace(shard, difference=found)
