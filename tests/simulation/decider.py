"""Decides a recorded journal again in a process of its own and prints the hashes of all outputs.

    python -m tests.simulation.decider LOG [--checkpoint] [--walk-a-set]

Place in the flow: tests only. The planted walk is the kind of fault that only other processes show,
so that a test can prove that it is caught.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing

from coordinator.bootstrap import build_engine
from coordinator.core import allocate, views
from coordinator.core.fold import Fold
from coordinator.core.ports import LogReader
from coordinator.core.state import Portfolio, State, View
from coordinator.log.open import open_reader
from replay.source import shards_of
from schemas.canonical import digest

__all__ = ["decide_again"]


def decide_again(reader: LogReader, *, checkpoint: bool) -> dict[str, str]:
    """Hash of each output by "shard/position/ordinal", from nothing or the first checkpoint."""
    shards = shards_of(reader)
    found = {}
    for shard in range(shards):
        fold = Fold(reader, build_engine(shard=shard, shards=shards))
        fold.start(_first_checkpoint(reader, shard) if checkpoint else None)
        for record in fold.journal():
            for ordinal, entry in enumerate(fold.step(record)):
                found[f"{shard}/{record.position}/{ordinal}"] = digest(entry)
    return found


def _first_checkpoint(reader: LogReader, shard: int) -> bytes:
    record = next(reader.read("checkpoints", shard))
    return record.payload.partition(b"\n")[2]


def _walk_a_set() -> None:
    def in_any_order(state: State, portfolio: Portfolio) -> list[View]:
        known = {view.reference: view for view in views.heard(state, portfolio)}
        walked = [known[reference] for reference in set(known)]
        # By instrument, as the board insists on; who comes first there is the set's.
        return sorted(walked, key=lambda view: view.instrument)

    vars(allocate)["heard"] = in_any_order


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("--checkpoint", action="store_true")
    parser.add_argument("--walk-a-set", action="store_true")
    args = parser.parse_args()
    if args.walk_a_set:
        _walk_a_set()
    with closing(open_reader(args.log)) as reader:
        print(json.dumps(decide_again(reader, checkpoint=args.checkpoint)))


if __name__ == "__main__":
    main()
