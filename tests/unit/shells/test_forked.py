"""Forked hands: the bytes of one process whatever becomes of children, and nothing left of them."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest

from coordinator.core.together import Told, Work
from coordinator.shells import forked
from coordinator.shells.forked import ROUNDS_MIN, ForkedHands, cores, engine_on_cores
from schemas.decisions import RoundClosed
from tests.support.children import OWN, children, descriptors, nothing_left
from tests.support.many_rounds import events_in, firm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is forked")

NAMES = [f"round\tp{number:03d}" for number in range(30)]
WITHIN_S = 20.0
Answer = Callable[[str, Work], bytes]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    with nothing_left():
        yield


@cache
def a_round() -> RoundClosed:
    return next(e for e in events_in(firm().said) if isinstance(e, RoundClosed))


def told(*names: str) -> list[Told]:
    """Events that are easily told apart."""
    event = a_round()
    return [Told(event.model_copy(update={"portfolio": name}), name.encode()) for name in names]


def slow(name: str) -> Sequence[Told]:
    time.sleep(0.002)
    return told(name, name + "'s")


def very_slow(name: str) -> Sequence[Told]:
    time.sleep(0.5)
    return slow(name)


def gone_through(hands: ForkedHands, names: Sequence[str] = NAMES) -> list[Sequence[Told]]:
    """As the engine does: what is taken, or else worked out here."""
    shared = hands.share(names, slow)
    assert shared is not None
    try:
        found = []
        for name in names:
            taken = shared.take(name)
            found.append(slow(name) if taken is None else taken)
        return found
    finally:
        shared.close()


EXPECTED = [(name, f"{name}'s") for name in NAMES]


def names_in(found: Sequence[Sequence[Any]]) -> list[Any]:
    return [tuple(one.event.portfolio for one in answer) for answer in found]


def in_children(monkeypatch: pytest.MonkeyPatch, fault: Callable[[], Any], *, at: str) -> None:
    """A child that comes to that round does something else first, or instead of it."""
    real = forked._answer

    def answer(name: str, work: Work) -> bytes:
        instead = fault() if name.endswith(at) else None
        return instead if isinstance(instead, bytes) else real(name, work)

    monkeypatch.setattr(forked, "_answer", answer)


# -- whom it forks -------------------------------------------------------------------------------


def test_children_do_a_good_part_of_the_work() -> None:
    hands = ForkedHands(2)
    assert names_in(gone_through(hands)) == EXPECTED
    assert 5 <= hands.taken <= len(NAMES) - 1


def test_few_rounds_and_one_process_fork_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    assert ForkedHands(1).share(NAMES, slow) is None
    assert ForkedHands(4).share(NAMES[: ROUNDS_MIN - 1], slow) is None
    assert ForkedHands(4).share([], slow) is None


def test_no_more_children_are_forked_than_pay() -> None:
    known = children()
    for rounds, most in ((ROUNDS_MIN, 1), (16, 3), (30, 4)):
        shared: Any = ForkedHands(64).share(NAMES[:rounds], slow)
        shared.take(NAMES[1])
        assert len(children(known)) == most
        shared.close()


def test_elsewhere_than_on_linux_nobody_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert ForkedHands(4).share(NAMES, slow) is None


def test_the_first_round_is_worked_out_before_anybody_is_forked() -> None:
    known, shared = children(), ForkedHands(2).share(NAMES, slow)
    assert shared is not None
    assert shared.take(NAMES[0]) is None
    assert not children(known)
    shared.take(NAMES[1])
    assert len(children(known)) == 1
    shared.close()


def test_an_engine_of_this_build_uses_the_cores_that_it_may() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
    made = engine_on_cores(shard=1, shards=2)
    assert (made.state.shard, made.state.shards) == (1, 2)


# -- what becomes of children ---------------------------------------------------------------------


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_myself() -> NoReturn:
    raise SystemExit(3)


def interrupt_myself() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(WITHIN_S)


def sleep_long() -> None:
    time.sleep(60 * WITHIN_S)


FAULTS: dict[str, Callable[[], Any]] = {
    "killed": kill_myself,
    "told to end": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "interrupted": interrupt_myself,
    "ends itself": end_myself,
    "no pickle": lambda: b"no pickle at all",
    "no answer in a pickle": lambda: pickle.dumps([("p", b"")]),
    "half a pickle": lambda: pickle.dumps(told("p"))[:-20],
    "an answer that takes too long": sleep_long,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", ["p029", "p021"])
def test_a_child_that_fails_in_the_middle_costs_no_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], fault: str, at: str
) -> None:
    monkeypatch.setattr(forked, "WAIT_S_MAX", 0.1)
    in_children(monkeypatch, FAULTS[fault], at=at)
    hands = ForkedHands(2)
    assert names_in(gone_through(hands)) == EXPECTED
    if at == "p021":
        assert hands.taken > 0 or "pickle" in fault
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "torn", [b"\xff\xff\xff\xffmore", b"\x00", b"\x00\x00\x01\x00half of it", b"", b"\0\0\0\1\2"]
)
def test_a_torn_message_costs_no_answer(monkeypatch: pytest.MonkeyPatch, torn: bytes) -> None:
    def serve(names: Sequence[str], work: Work, writes: int, engine: int) -> NoReturn:
        os.write(writes, torn)
        os._exit(0)

    monkeypatch.setattr(forked, "_serve", serve)
    hands = ForkedHands(3)
    assert names_in(gone_through(hands)) == EXPECTED
    assert hands.taken == 0


@pytest.mark.parametrize("refused", ["fork", "pipe"])
@pytest.mark.parametrize("after", [0, 1])
def test_where_no_child_can_be_made_the_engine_does_it_alone(
    monkeypatch: pytest.MonkeyPatch, refused: str, after: int
) -> None:
    real, calls = getattr(os, refused), []

    def refuse() -> Any:
        calls.append(1)
        if len(calls) > after:
            raise OSError(errno.EAGAIN, "no more")
        return real()

    monkeypatch.setattr(os, refused, refuse)
    hands = ForkedHands(3)
    assert names_in(gone_through(hands)) == EXPECTED
    assert len(calls) == after + 1
    assert (hands.taken > 0) == (after > 0)


def test_fifty_moments_leave_neither_children_nor_open_files() -> None:
    hands, known = ForkedHands(3), children()
    before = descriptors()
    for _ in range(50):
        gone_through(hands, NAMES[:ROUNDS_MIN])
        assert not children(known)
        assert descriptors() == before
    assert hands.taken > 50


def test_an_engine_whose_children_hang_waits_once_and_forks_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forked, "WAIT_S_MAX", 1.0)
    in_children(monkeypatch, lambda: time.sleep(WITHIN_S), at="")
    hands, began = ForkedHands(4), time.monotonic()
    assert names_in(gone_through(hands)) == EXPECTED
    assert time.monotonic() - began < 1.9  # not once for each of its three children
    assert hands.share(NAMES, slow) is None


@pytest.mark.parametrize(
    ("quota", "share"), [("150000 100000", 1), ("50000 100000", 1), ("max 100000", 0), ("?", 0)]
)
def test_cores_are_no_more_than_a_container_s_share(
    quota: str, share: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = tmp_path / "cpu.max"
    given.write_text(quota)
    monkeypatch.setattr(forked, "QUOTA", given)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cores() == (share or 8)


def test_who_asks_no_more_ends_children_that_are_still_at_work() -> None:
    known, shared = children(), ForkedHands(3).share(NAMES, slow)
    assert shared is not None
    for name in NAMES[:2]:
        shared.take(name)
    assert len(children(known)) == 2
    shared.close()
    shared.close()
    assert shared.take(NAMES[2]) is None


@pytest.mark.parametrize("told_what_is_open", [True, False])
def test_a_child_holds_nothing_open_but_its_pipe_and_says_nothing(
    told_what_is_open: bool,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if not told_what_is_open:
        monkeypatch.setattr(forked, "OPEN", tmp_path / "nowhere")

    def look(name: str) -> Sequence[Told]:
        os.write(2, b"told to nobody")
        links = [str(one.readlink()) for one in (OWN / "fd").iterdir() if one.is_symlink()]
        return told(*(link for link in links if not link.startswith("/proc/")))

    sys.stdout.write("once")
    shared = ForkedHands(2).share(NAMES, look)
    assert shared is not None
    shared.take(NAMES[0])
    shared.take(NAMES[1])
    time.sleep(0.2)
    taken = shared.take(NAMES[-1])
    shared.close()
    assert taken is not None
    *nowhere, pipe = sorted(names_in([taken])[0])
    assert nowhere == ["/dev/null"] * 3
    assert pipe.startswith("pipe:")
    sys.stdout.flush()
    assert capfd.readouterr() == ("once", "")


def test_children_end_with_an_engine_that_is_killed() -> None:
    reads, writes = os.pipe()
    engine = os.fork()
    if not engine:
        try:
            shared: Any = ForkedHands(3).share(NAMES, very_slow)
            shared.take(NAMES[0])
            shared._fork()
            os.write(writes, " ".join(map(str, children())).encode())
            time.sleep(60 * WITHIN_S)
        finally:
            os._exit(1)
    os.close(writes)
    left = [int(pid) for pid in os.read(reads, 100).split()]
    os.close(reads)
    assert len(left) == 2
    os.kill(engine, signal.SIGKILL)
    os.waitpid(engine, 0)
    until = time.monotonic() + WITHIN_S
    while any(map(runs, left)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(runs, left))


def runs(pid: int) -> bool:
    """Whether it is there and not dead; whoever has adopted it may not have looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
