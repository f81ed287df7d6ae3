"""What the core asks of the world: a log, a risk model and an allocator.

Place in the flow: the engine depends on these shapes only; `coordinator.bootstrap` puts adapters
behind them. Nothing here does I/O or imports an adapter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DRIFT",
    "HOUSE_TIER",
    "NO_CHARGES",
    "Allocation",
    "AllocationProblem",
    "Allocator",
    "Append",
    "Charges",
    "Floats",
    "Force",
    "LimitKind",
    "LimitReading",
    "Log",
    "LogReader",
    "Record",
    "RiskEstimate",
    "RiskKind",
    "RiskModel",
    "RiskSettings",
    "Sleeves",
    "Unreadable",
    "WeightLimit",
]

Floats = NDArray[np.float64]

DRIFT = 1e-7
"""A limit passed by less, a thousandth of a basis point of NAV, is no breach: no allocator repairs
it, nobody is woken by it, no decision tells it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One stored record of a log.

    position rises strictly within (topic, shard) and may skip. journal_time is integer nanoseconds
    UTC, given by the log's own clock or simulated by an import.
    """

    topic: str
    shard: int
    position: int
    journal_time: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Append:
    """A record to be appended. journal_time None: the log's clock, inside the transaction."""

    topic: str
    shard: int
    payload: bytes
    journal_time: int | None = None


class Unreadable(Exception):
    """Something in a log is not what was written, or cannot be read as a record.

    position: the first such record of the partition that was read, None where nothing is known.
    What stands behind it may be readable.
    """

    position: int | None


class LogReader(Protocol):
    """A log that can be read from any position."""

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        """Records of one partition, from the first position >= start up to, not including, stop.

        Raises Unreadable, naming the position, at the first record that is not what was written.
        """
        ...

    def end(self, topic: str, shard: int) -> int:
        """One past the last position; 0 when the partition is empty."""
        ...

    def partitions(self) -> tuple[tuple[str, int], ...]:
        """Sorted (topic, shard) pairs that hold at least one record."""
        ...

    def close(self) -> None:
        """Release files; reading afterwards raises LogClosed."""
        ...


class Log(LogReader, Protocol):
    """A log that can also be appended to."""

    def append(self, batch: Sequence[Append]) -> tuple[int, ...]:
        """Append all of batch in order, atomically and durably; returns the positions given."""
        ...


RiskKind = Literal["blended", "ewma", "factor"]
"""Which risk model: every session alike with a prior, fading sessions, or common factors."""


@dataclass(frozen=True, slots=True)
class RiskSettings:
    """How a covariance is estimated.

    volatility_prior: one-session volatility assumed before observations (fraction).
    correlation_prior: correlation assumed between any two instruments before observations.
    weight_prior: sessions of evidence the prior counts for. volatility_half_life,
    correlation_half_life: sessions after which a return counts half, of the models that fade.
    shrinkage: share of the prior in the correlations of "ewma"; None: estimated. factors: how many
    of "factor"; 0: as many as the returns tell.
    """

    volatility_prior: float
    correlation_prior: float
    weight_prior: float
    model: RiskKind = "blended"
    volatility_half_life: float = 84.0
    correlation_half_life: float = 252.0
    shrinkage: float | None = None
    factors: int = 20


@dataclass(frozen=True, slots=True)
class RiskEstimate:
    """One session's covariance as rows' rows + diag(rest), and how it came about.

    rows: (m, n). rest: (n,), above 0. shrinkage: share of what was assumed in the correlations.
    observations: sessions that tell as much when all count alike. factors: common ones, None where
    the model has none.
    """

    rows: Floats
    rest: Floats
    shrinkage: float
    observations: float
    factors: int | None = None

    def covariance(self) -> Floats:
        """(n, n), symmetric and positive definite."""
        found: Floats = self.rows.T @ self.rows
        found = (found + found.T) / 2
        found[np.diag_indices_from(found)] += self.rest
        return found

    def some(self, at: NDArray[np.intp]) -> RiskEstimate:
        """Of the instruments at those places alone, as estimated among all."""
        return replace(self, rows=self.rows[:, at], rest=self.rest[at])

    def variance(self, weights: Floats) -> float:
        """Of a portfolio of those weights, without the matrix."""
        return float(((self.rows @ weights) ** 2).sum() + self.rest @ weights**2)


class RiskModel(Protocol):
    """Turns a window of returns into one session's covariance."""

    def covariance(self, returns: Floats, settings: RiskSettings) -> Floats:
        """Positive definite covariance of one session.

        returns: (t, n) one-session returns, NaN where unknown, t may be 0. Returns (n, n).
        """
        ...

    def estimate(self, returns: Floats, settings: RiskSettings) -> RiskEstimate:
        """The same in the form it is estimated in."""
        ...


LimitKind = Literal["linear", "gross", "volatility", "turnover", "cash"]
"""What a limit bounds. linear: rows w. gross: rows |w|. volatility: the root of w' Sigma w over the
horizon. turnover: half the absolute weight traded. cash: cash after the trades and their costs."""


HOUSE_TIER = 1_000
"""Tier of the house book's bound, which gives way before all others: theirs are below it."""


@dataclass(frozen=True, slots=True)
class WeightLimit:
    """One limit on the weights after the trades, beside those every problem has; k rows of it.

    name: as shown. labels: (k,) what each row is about, such as a sector; "" where there is one
    row. rows: (k, n) coefficients, nonnegative for gross; (1, n) zeros without meaning for the
    other kinds. lower, upper: (k,) fractions of NAV, -inf or inf where there is none; gross,
    volatility and turnover have an upper one alone, cash a lower one. tier: 0 is a hard limit; of
    soft ones those of a larger number give way first.
    """

    name: str
    kind: LimitKind
    labels: tuple[str, ...]
    rows: Floats
    lower: Floats
    upper: Floats
    tier: int


@dataclass(frozen=True, slots=True)
class Charges:
    """What the objective is charged with beside risk and linear costs; None or 0: not charged.

    Arrays are (n,) and >= 0 unless said; rates are fractions of NAV over the horizon.
    """

    linear_buy: Floats | None = None  # per unit bought, either sign, beside cost_buy
    linear_sell: Floats | None = None  # per unit sold; a buy and a sale cost >= 0 together
    robustness: Floats | None = None  # per unit of |w|: how far mu may be mistaken
    impact: Floats | None = None  # kappa2: times |trade| ** 1.5
    impact_square: Floats | None = None  # times trade ** 2, in place of the former
    impact_weight: float = 1.0  # times both in the objective; cash pays them whole
    borrow: Floats | None = None  # per unit held short
    carry: Floats | None = None  # per unit of weight, either sign: paid where > 0
    turnover: float = 0.0  # per unit of half the absolute weight traded, beside its costs
    diversification: float = 0.0  # times half the sum of w_i^2 Sigma_ii
    tracking: float = 0.0  # times half the variance of w - benchmark
    benchmark: Floats | None = None  # weights, any sign; None: cash

    @property
    def none(self) -> bool:
        """Whether nothing is charged."""
        if self is NO_CHARGES:
            return True
        return not any(getattr(self, one.name) is not None for one in _ARRAYS) and not (
            self.turnover or self.diversification or self.tracking
        )


NO_CHARGES = Charges()
_ARRAYS = tuple(one for one in fields(Charges) if one.default is None)


@dataclass(frozen=True, slots=True)
class Sleeves:
    """What each strategy of a portfolio would hold: the weights are targets @ sizes + house.

    names: (s,) sorted. targets: (n, s) weights of one unit of a strategy's size; the unit is a
    volatility of 1, fraction of NAV, in one session. size_max: (s,) >= 0, largest sizes; the
    smallest is 0. wished: (s,) sizes the strategies want; wish_weight: (s,) >= 0, charged for the
    squared difference to them. house_weight: half of it is charged per squared weight of the house
    book. house_max: bound on the sum of the absolute weights of the house book, inf for none; it
    gives way before any other soft limit.
    """

    names: tuple[str, ...]
    targets: Floats
    size_max: Floats
    wished: Floats
    wish_weight: Floats
    house_weight: float
    house_max: float = float("inf")


@dataclass(frozen=True, slots=True)
class AllocationProblem:
    """One portfolio's allocation at one moment; every number is a fraction of NAV unless said.

    Arrays are (n,) in the order of `instruments` (sorted by id), `covariance` is (n, n); both mu
    and covariance are over the same horizon. `filled` is what is held now, working_buys and
    working_sells what decided trades may still add; new trades begin from `start`, their sum.
    """

    instruments: tuple[str, ...]
    nav: float  # money, base currency, > 0
    mu: Floats  # expected return in excess of cash over the horizon
    covariance: Floats
    risk_aversion: float  # gamma, > 0
    filled: Floats
    working_buys: Floats  # >= 0, open buys not filled yet
    working_sells: Floats  # <= 0, open sells not filled yet
    cash: float  # cash held now
    lot_weight: Floats  # one lot at the present price; 0 where the quantity is continuous
    exit_odd_lot: NDArray[np.bool_]  # whether a holding that is no whole lot may be sold whole
    cost_buy: Floats  # linear cost of buying, fraction of the traded value
    cost_sell: Floats
    trade_max: Floats  # largest |trade| possible; 0 where halted or without a price
    position_min: Floats
    position_max: Floats
    gross_max: float  # on the sum of |w|
    cash_floor: float
    turnover_max: float  # half the absolute weight traded in this decision
    trade_min: float  # smallest |trade| worth doing, full exits are free of it
    limits: tuple[WeightLimit, ...] = ()  # hard and soft ones beside the bounds above
    charges: Charges = NO_CHARGES
    sleeves: Sleeves | None = None
    factors: RiskEstimate | None = None  # the covariance in this form, where it has one

    @property
    def start(self) -> Floats:
        """(n,) weights that new trades start from: held, and decided but not filled yet."""
        return self.filled + self.working_buys + self.working_sells


class LimitReading(NamedTuple):
    """How far one limit was used by the answer, and what easing it would be worth.

    limit: its name; instrument: set where the limit is per instrument; label: of a WeightLimit's
    row; side: which way it bounds. used and bound are in the limit's unit (fraction of NAV).
    shadow_price: gain of the objective per unit of bound, <= 0 for a floor. tier: as WeightLimit's.
    gave_way: by how much the trades before rounding leave a WeightLimit's row broken, in its unit;
    its price is then what one more unit of giving way would be worth.
    """

    limit: str
    instrument: str | None
    used: float
    bound: float
    shadow_price: float
    label: str | None = None
    side: Literal["upper", "lower"] = "upper"
    tier: int = 0
    gave_way: float = 0.0


class Force(NamedTuple):
    """One term's or limit's pull on each trade, at the continuous answer.

    name: of the term or limit. pulls: (n,) gain of the objective per unit of weight bought, > 0
    towards buying. At the optimum the pulls of all forces on an instrument add up to 0.
    """

    name: str
    pulls: Floats


@dataclass(frozen=True, slots=True)
class Allocation:
    """The allocator's answer: always there, with the rung of the ladder that gave it.

    trades: (n,) signed fractions of NAV after rounding to lots. lots: (n,) signed whole lots of
    each trade (the traded weight itself where lot_weight is 0). continuous: (n,) trades before
    rounding. rung: "solved", "relaxed", "rule" or "hold". objective values are over the horizon, as
    a fraction of NAV. violation: largest hard-limit violation after rounding, a WeightLimit's row
    divided by its largest coefficient; violation_before: the same for not trading.
    """

    trades: Floats
    lots: Floats
    continuous: Floats
    rung: str
    solver: str
    status: str
    iterations: int
    objective: float
    objective_continuous: float
    violation: float
    violation_before: float
    limits: tuple[LimitReading, ...]
    remarks: tuple[str, ...]  # why lower rungs were taken, in words
    sizes: Floats = field(default_factory=lambda: np.zeros(0))  # (s,) of the sleeves
    forces: tuple[Force, ...] = ()
    objective_before: float = 0.0  # of not trading
    gap: float = 0.0  # certified distance of the continuous trades to the best, inf: none


class Allocator(Protocol):
    """Solves one AllocationProblem; never raises for a solvable or an infeasible state."""

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """The best trades found, honouring hard limits or making no breach worse."""
        ...
