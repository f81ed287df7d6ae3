"""Crash and resume at any record, repeats, zombies, several shards: one outcome.

A state machine drives the owners of all shards on one log and hurts them; at the end the log must
hold exactly what an undisturbed run over the same inputs says, none lost, none twice, with every
hard limit kept by an auditor's own books.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from coordinator.core.ports import Append
from coordinator.core.route import Router
from coordinator.core.shard import Shard
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided
from tests.journals import (
    DAY,
    HOUR,
    MS,
    SECOND,
    T0,
    Input,
    Inputs,
    contents,
    engine,
    law,
    lay,
    outputs,
    run,
    tick_all,
    zero_clock,
)
from tests.laws.auditor import audit
from tests.laws.faulty import Crashed, FaultyLog

SHARDS = 3
NAMES = ("N0", "N1", "N2")
SOURCES = ("a", "b", "c")
PORTFOLIOS = ("close", "hours", "short", "tight", "wide")
MANDATES: dict[str, dict[str, Any]] = {
    "close": {"schedule": {"kind": "session_close"}},
    "hours": {"schedule": {"kind": "interval", "every": 3600}, "mode": "aggressive"},
    "short": {"mandate": {"position_min": -0.3, "position_max": 0.3, "gross_max": 0.8}},
    "tight": {"mandate": {"turnover_max": 0.05, "cash_floor": 0.5, "universe": ["N0", "N1"]}},
    "wide": {"mandate": {"position_max": 0.6, "valid_sessions": 2}, "mode": "aggressive"},
}

shards = st.integers(0, SHARDS - 1)
names = st.sampled_from(NAMES)
moves = st.floats(0.7, 1.4).map(lambda x: round(x, 3))
opinions = st.fixed_dictionaries(
    {"instrument": names, "expected_return": st.floats(-0.2, 0.2).map(lambda x: round(x, 3))},
    optional={
        "confidence": st.sampled_from([0.0, 0.5, 1.0]),
        "horizon_sessions": st.sampled_from([1.0, 10.0]),
        "strategy": st.sampled_from(["s1", "s2"]),
    },
)


class CrashMachine(RuleBasedStateMachine):
    """The world, the owners of the shards, and what goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.log = FaultyLog()
        self.build = Inputs()
        self.inputs: list[Input] = []
        self.now = T0
        self.prices = {name: 10.0 * (i + 1) for i, name in enumerate(NAMES)}
        self.owners: list[Shard] = []

    @initialize()
    def open(self) -> None:
        lay((), self.log, shards=SHARDS)
        self.owners = [self._owner(shard) for shard in range(SHARDS)]
        for name in NAMES:
            self._put(self.build.listed(name, self.now, lot="0" if name == "N2" else "10"))
        for source in SOURCES:
            self._put(self.build.registered(source, self.now))
        for name, terms in MANDATES.items():
            self._put(self.build.opened(name, self.now, cash="100000", **terms))
        self._put(self.build.close(self.prices, self.now))

    def _owner(self, shard: int) -> Shard:
        owner = Shard(self.log, engine(shard, SHARDS), checkpoint_every=7)
        owner.recover()
        return owner

    def _put(self, one: Input) -> None:
        self.inputs.append(one)
        router = Router(self.log, shards=SHARDS)
        assert router.accept([one.raw], journal_times=[one.at]).dead == 0

    # -- the world ---------------------------------------------------------------------------------

    @rule(said=st.lists(st.tuples(st.sampled_from(SOURCES), opinions), min_size=1, max_size=4))
    def signals(self, said: list[tuple[str, dict[str, Any]]]) -> None:
        for source, opinion in said:
            self.now += MS
            fields = {"strategy": "s1"} | opinion
            self._put(self.build.signal(source, at=self.now, **fields))

    @rule(name=names, move=moves, close=st.booleans())
    def prices_move(self, name: str, move: float, close: bool) -> None:
        self.now += HOUR
        self.prices[name] = round(self.prices[name] * move, 4)
        make = self.build.close if close else self.build.prices
        self._put(make(dict(self.prices), self.now))

    @rule(name=names, move=moves, late=st.sampled_from([MS, HOUR, DAY]), close=st.booleans())
    def prices_come_late_or_twice(self, name: str, move: float, late: int, close: bool) -> None:
        price = {name: round(self.prices[name] * move, 4)}
        terms: dict[str, Any] = {"kind": "bar", "session_close": close}
        terms["event_time"] = max(T0, self.now - late)
        self._put(self.build.prices(price, self.now, **terms))

    @rule(step=st.sampled_from([MS, 60 * MS, SECOND, HOUR, DAY]), ticked=st.booleans())
    def time_passes(self, step: int, ticked: bool) -> None:
        self.now += step
        if ticked:
            tick_all(self.log, shards=SHARDS, at=self.now)

    @rule(
        pick=st.integers(0, 1000),
        part=st.sampled_from(["0.5", "1"]),
        whole=st.booleans(),
        wait=st.sampled_from([0, SECOND]),
    )
    def a_trade_fills(self, pick: int, part: str, whole: bool, wait: int) -> None:
        decided = self._decided()
        trades = [(e.portfolio, trade) for e in decided for trade in e.trades]
        if not trades:
            return
        portfolio, trade = trades[-1 - pick % len(trades)]
        quantity = f"{(trade.quantity * Decimal(part)).quantize(Decimal('1e-9')):f}"
        self.now += wait
        price = f"{self.prices[trade.instrument]:.4f}"
        make = self.build.fill
        name, trade_id, partly = trade.instrument, trade.trade_id, not whole
        self._put(
            make(portfolio, name, quantity, price, self.now, partly=partly, trade_id=trade_id)
        )

    @rule(
        portfolio=st.sampled_from(PORTFOLIOS),
        what=st.integers(0, 8),
        wait=st.sampled_from([0, SECOND]),
    )
    def somebody_intervenes(self, portfolio: str, what: int, wait: int) -> None:
        self.now += wait
        muted = {"source": "a", "strategy": "s1", "muted": portfolio < "m"}
        gone = {"source": "b", "signal_id": f"signals-2-{len(self.inputs) % 7}"}
        about = {"portfolio": portfolio}
        money = {"amount": "-20000", "currency": "USD"}
        mandate = {"mandate": {"position_max": 0.1, "gross_max": 0.4, "turnover_max": 0.2}}
        topic, name, fields = (
            ("portfolios", "CashMoved", about | money),
            ("portfolios", "MandateChanged", about | mandate),
            ("control", "CoordinationPaused", about),
            ("control", "CoordinationResumed", about),
            ("market", "InstrumentHalted", {"instrument": "N1", "halted": portfolio < "m"}),
            ("control", "CoordinationPaused", {}),
            ("control", "CoordinationResumed", {}),
            ("control", "StrategyMuted", muted),
            ("signals", "SignalWithdrawn", gone),
        )[what]
        self._put(self.build.make(topic, name, self.now, **fields))

    # -- what goes wrong ---------------------------------------------------------------------------

    @rule(shard=shards, count=st.integers(1, 12))
    def work(self, shard: int, count: int) -> None:
        owner = self.owners[shard]
        start = owner.engine.position + 1
        for record in list(self.log.read("journal", shard, start))[:count]:
            owner.apply(record)

    @rule(shard=shards)
    def crash(self, shard: int) -> None:
        self.owners[shard] = self._owner(shard)

    @rule(shard=shards, keep=st.integers(0, 4))
    def crash_while_publishing(self, shard: int, keep: int) -> None:
        self.log.keep = keep
        try:
            self.owners[shard].pump()
        except Crashed:
            self.owners[shard] = self._owner(shard)
        self.log.keep = None

    @rule(shard=shards)
    def checkpoint(self, shard: int) -> None:
        self.owners[shard].checkpoint()

    @rule(shard=shards, damage=st.sampled_from([b"", b"3\nnothing", b"0\n{}\n{}"]))
    def a_checkpoint_is_damaged(self, shard: int, damage: bytes) -> None:
        self.log.append([Append("checkpoints", shard, damage, self.now)])

    @rule(shard=shards, count=st.integers(1, 20))
    def a_router_repeats_its_batch(self, shard: int, count: int) -> None:
        records = list(self.log.read("journal", shard))[1:]
        for record in [r for r in records if b'"offset":-1' not in r.payload][-count:]:
            self.log.append([Append("journal", shard, record.payload, self.now)])

    @rule(shard=shards, count=st.integers(1, 20))
    @precondition(lambda self: self.owners)
    def a_zombie_repeats_its_outputs(self, shard: int, count: int) -> None:
        for record in list(self.log.read("decisions", shard))[-count:]:
            self.log.append([Append("decisions", shard, record.payload, record.journal_time)])

    # -- what must hold ----------------------------------------------------------------------------

    def _decided(self) -> list[AllocationDecided]:
        entries = (e for shard in range(SHARDS) for e in outputs(self.log, shard))
        return [e.event for e in entries if isinstance(e.event, AllocationDecided)]

    @invariant()
    def no_output_is_missing_or_out_of_order(self) -> None:
        for owner in self.owners:
            assert len(outputs(self.log, owner.number)) == owner.engine.seq

    def teardown(self) -> None:
        if not self.owners:
            return
        end = self.now + 2 * DAY
        tick_all(self.log, shards=SHARDS, at=end)
        for shard in range(SHARDS):
            survivor = self._owner(shard)
            fresh = Shard(_without_checkpoints(self.log), engine(shard, SHARDS))
            assert fresh.recover().outputs_missing == 0
            assert fresh.engine.checkpoint() == survivor.engine.checkpoint()
            assert audit(self.log, shard) == []
        clean = run(self.inputs, shards=SHARDS, end=end)
        assert contents(self.log, shards=SHARDS) == contents(clean, shards=SHARDS)


def _without_checkpoints(log: MemoryLog) -> MemoryLog:
    made = MemoryLog(clock=zero_clock)
    for topic, shard in log.partitions():
        if topic != "checkpoints":
            for r in log.read(topic, shard):
                made.append([Append(topic, shard, r.payload, r.journal_time)])
    return made


TestCrashMachine = CrashMachine.TestCase
TestCrashMachine.settings = settings(law(12), stateful_step_count=40)
