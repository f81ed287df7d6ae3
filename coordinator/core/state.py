"""The engine's whole state: plain data, owned by one engine and changed in place.

Place in the flow: `decide` reads it, `evolve` changes it, `checkpoint` writes it down. It holds
nothing that could not be written down, and nothing of the world outside.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from coordinator.core.accounts import EXACT, Account
from coordinator.core.clock import MILLISECOND, Timers
from coordinator.core.forms import Form
from coordinator.core.hearers import Hearers
from coordinator.core.instrument import Instrument
from coordinator.core.likeness import Pairs
from coordinator.core.market import Market
from coordinator.core.movements import Movements
from coordinator.core.outcomes import Outcomes
from coordinator.core.published import Published
from coordinator.core.recall import Recall
from coordinator.core.regimes import Regimes
from coordinator.core.remembered import Remembered
from coordinator.core.skill import Skill
from coordinator.core.tallies import PortfolioPanes, SourcePanes
from coordinator.core.virtual import VirtualBooks
from schemas.canonical import canonical_bytes, digest
from schemas.control import ModePreset, Parameters, SourceRegistered, StrategyRegistered
from schemas.decisions import Trigger
from schemas.entries import GENESIS
from schemas.market import CorporateActionAnnounced
from schemas.portfolios import Costs, Mandate, PortfolioOpened, ReportPolicy, Schedule

if TYPE_CHECKING:
    from coordinator.core.allocate import Opinion
    from coordinator.core.bias import Bias
    from coordinator.core.impact import Groups
    from coordinator.core.match import Weighing
    from coordinator.core.views import Columns

__all__ = [
    "Growth",
    "OpenTrade",
    "Portfolio",
    "Round",
    "Source",
    "Spread",
    "State",
    "View",
    "ViewKey",
]

ViewKey = tuple[str, str, str]
"""(instrument, source, strategy): a later signal with the same key replaces the earlier."""
OPINIONS_MAX = 8
"""Opinions kept for other portfolios: a few, as each is as large as a covariance."""
WEIGHINGS_MAX = 4
"""Weighings of views kept for the next rounds, as large."""
COLUMNS_MAX = 8
"""Columns of views kept for the next rounds: of that many sets of instruments."""
GROUPS_MAX = 16
"""Sectors and factors kept: of that many sets of instruments."""


def _holds(names: tuple[str, ...], name: str) -> bool:
    """Whether a sorted list that may be empty, which means everybody, has that name."""
    if not names:
        return True
    at = bisect_left(names, name)
    return at < len(names) and names[at] == name


@dataclass(slots=True)
class Spread:
    """Raw scores of one form so far: how many, and the sum of their squares; both fade."""

    count: float = 0.0
    squares: float = 0.0

    def add(self, raw: float) -> None:
        """One more."""
        self.count += 1.0
        self.squares += raw * raw

    def fade(self, by: float) -> None:
        """A session has passed. by: factor below 1."""
        self.count, self.squares = self.count * by, self.squares * by


@dataclass(slots=True)
class Source:
    """A registered source, the spread of its raw scores, and what became of its signals.

    terms: as registered, instruments sorted; by_strategy: of those strategies that were registered
    on their own.
    minute: of the input topic's time, since 1970, and how many of its signals counted in it.
    spreads: of its raw scores, by form. accepted, rejected: signals so far, the latter by reason.
    skill: what was learned of it.
    """

    terms: SourceRegistered
    by_strategy: dict[str, StrategyRegistered] = field(default_factory=dict)
    muted: bool = False
    muted_strategies: tuple[str, ...] = ()
    spreads: dict[str, Spread] = field(default_factory=dict)
    minute: int = 0
    in_minute: int = 0
    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    last_at: int | None = None
    skill: Skill = field(default_factory=Skill)

    def speaks_for(self, strategy: str) -> bool:
        """Whether it may speak for that strategy."""
        named = self.terms.strategies
        return not named or strategy in named or strategy in self.by_strategy

    def speaks_of(self, strategy: str, instrument: str) -> bool:
        """Whether it may say something of that instrument for that strategy."""
        if not _holds(self.terms.instruments, instrument):
            return False
        own = self.by_strategy.get(strategy)
        return own is None or _holds(own.instruments, instrument)

    def horizon(self, strategy: str) -> float:
        """Sessions of a signal that states none."""
        own = self.by_strategy.get(strategy)
        stated = None if own is None else own.horizon_sessions
        return self.terms.horizon_sessions if stated is None else stated

    def priority(self, strategy: str) -> float:
        """How much its signals of that strategy matter beside those of others."""
        own = self.by_strategy.get(strategy)
        stated = None if own is None else own.priority
        return self.terms.priority if stated is None else stated

    def capital(self, strategy: str) -> tuple[Decimal | None, str | None]:
        """Money that its wishes may tie up, and its currency.

        None where not stated; of the currency: the portfolio's own.
        """
        own = self.by_strategy.get(strategy)
        if own is not None and own.capital is not None:
            return own.capital, own.capital_currency
        return self.terms.capital, self.terms.capital_currency

    def risk_budget(self, strategy: str) -> float | None:
        """Share of a portfolio's risk that its wishes may take; None: not stated."""
        own = self.by_strategy.get(strategy)
        stated = None if own is None else own.risk_budget
        return self.terms.risk_budget if stated is None else stated

    def is_muted(self, strategy: str) -> bool:
        """Whether signals of that strategy do not count."""
        return self.muted or strategy in self.muted_strategies


class View(NamedTuple):
    """A live signal, with what was fixed when it arrived.

    form: which one it has; stated: the number in it, None for directions. raw: what it says in
    units of the volatility of its horizon, before the source's own spread is applied; 0 for
    directions. against: what its instrument is judged against, (instrument, weight). session:
    sessions closed when it arrived.
    """

    signal_id: str
    source: str
    strategy: str
    instrument: str
    direction: int | None
    strength: float | None
    raw: float
    confidence: float | None
    horizon: float
    event_time: int
    known_at: int
    session: float
    expires_at: int | None
    form: Form = "direction"
    stated: float | None = None
    against: tuple[tuple[str, float], ...] = ()

    @property
    def key(self) -> ViewKey:
        """What a later signal must share to take this one's place."""
        return (self.instrument, self.source, self.strategy)

    @property
    def is_forecast(self) -> bool:
        """Whether its source's own spread makes a score of it: ranks and directions are scores."""
        return self.direction is None and self.form != "rank"

    @property
    def reference(self) -> str:
        """How outputs name it: "source/signal_id"."""
        return f"{self.source}/{self.signal_id}"


@dataclass(slots=True)
class OpenTrade:
    """A decided trade that may still fill."""

    trade_id: str
    decision_id: str
    instrument: str
    quantity: Decimal  # what is left, signed


@dataclass(frozen=True, slots=True)
class Round:
    """A round that is collecting."""

    trigger: Trigger
    opened_at: int


@dataclass(slots=True)
class Growth:
    """What became of one unit of money since the portfolio opened, money in and out taken out.

    nav: at the session close before, money; moved: put in or taken out since, taken to have worked
    since that close. now, best: growth at
    that close and at the best one; deepest: the largest fall from a best one, fraction.
    """

    nav: float
    moved: float = 0.0
    now: float = 1.0
    best: float = 1.0
    deepest: float = 0.0


@dataclass(slots=True)
class Portfolio:
    """A portfolio's book, mandate and rounds.

    accounts: by currency, its own always among them. cost: of each position, in the instrument's
    currency. invested: money put in less taken out, each at the rate of its day. adapted:
    multipliers that are not 1, by "cause/weight", see `tilt`. dealt: units of each instrument that
    filled in the session dealt_in, counted while there is a firm's share of volumes, see `firm`.
    """

    name: str
    currency: str
    mode: str
    mandate: Mandate
    schedule: Schedule
    costs: Costs
    reports: ReportPolicy
    preset: ModePreset  # of its mode, kept when the parameters drop that mode
    accounts: dict[str, Account]
    invested: Decimal
    growth: Growth
    positions: dict[str, Decimal] = field(default_factory=dict)
    cost: dict[str, Decimal] = field(default_factory=dict)
    open_trades: dict[str, OpenTrade] = field(default_factory=dict)
    closed: bool = False
    paused: bool = False
    round: Round | None = None
    rounds: int = 0
    last_round_at: int | None = None
    sessions_waited: int = 0
    signals_used: tuple[str, ...] = ()
    traded: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    fills: int = 0
    reported: bool = False  # a positions report was taken
    view_shown: tuple[str, ...] = ()
    mandate_version: int = 1  # counts the mandates that were accepted
    adapted: dict[str, float] = field(default_factory=dict)
    dealt: dict[str, Decimal] = field(default_factory=dict)
    dealt_in: int = 0
    traded_last: dict[str, float] = field(default_factory=dict)  # last trades decided, of NAV

    @classmethod
    def opened(cls, event: PortfolioOpened, *, preset: ModePreset) -> Portfolio:
        """As it starts: with money and nothing else."""
        start = Account(cash=event.cash, paid_in=event.cash)
        return cls(
            event.portfolio,
            event.currency,
            event.mode,
            event.mandate,
            event.schedule,
            event.costs,
            event.reports,
            preset,
            {event.currency: start},
            event.cash,
            Growth(nav=float(event.cash)),
        )

    @property
    def risk_aversion(self) -> float:
        """gamma of its mode."""
        return self.preset.risk_aversion

    @property
    def cash(self) -> Decimal:
        """Money in its own currency."""
        return self.accounts[self.currency].cash

    def account(self, currency: str) -> Account:
        """Its account in a currency, opened where there was none."""
        return self.accounts.setdefault(currency, Account())

    def put_in(self, amount: Decimal) -> None:
        """Money of its own currency was put in, or taken out: no gain and no loss."""
        self.invested = EXACT.add(self.invested, amount)
        self.growth.moved += float(amount)

    @property
    def active(self) -> bool:
        """Whether it may decide."""
        return not (self.closed or self.paused)


class State:
    """Everything one shard's engine knows."""

    def __init__(self, *, shard: int, shards: int, parameters: Parameters | None = None) -> None:
        self.shard = shard
        self.shards = shards
        self.position = -1
        self.clock = 0
        self.seq = 0
        self.last_hash = GENESIS
        self.decisions = 0
        self.build = ""
        self.dependencies = ""
        self.fingerprint = ""
        self.sealed = False
        self.paused = False
        self.pace_ms = 0  # rounds lie this far apart, at least: said by an owner that fell behind
        self.stagger_ms = 0  # rounds that wait for that lie so far apart from each other
        self.turn = 0  # when the last of these is due
        self.marks: dict[tuple[str, str, int], int] = {}
        self.seen = Remembered()  # event ids (intake.identity_key), and when they were appended
        self.seen_own = Remembered()  # the same for events of this shard's portfolios alone
        self.timers = Timers()
        self.session_timers = Timers()
        self.sources: dict[str, Source] = {}
        self.views: dict[ViewKey, View] = {}
        self.portfolios: dict[str, Portfolio] = {}
        self.actions: dict[str, CorporateActionAnnounced] = {}  # by id, not in effect yet
        self.movements: dict[str, Movements] = {}  # by portfolio
        self.biases: dict[str, Bias] = {}  # by portfolio
        self.virtual: dict[str, VirtualBooks] = {}  # of strategies, by portfolio
        self.published: Published | None = None
        self.regimes = Regimes()
        self.adapted_strategies: dict[tuple[str, str], float] = {}  # not 1, by source and strategy
        self.outcomes = Outcomes()
        self.portfolio_panes: dict[str, PortfolioPanes] = {}
        self.source_panes: dict[str, SourcePanes] = {}  # of those at home on this shard
        self.pairs = Pairs()
        self.learned = 0  # counts whenever what is believed of sources may have changed
        self.parameters = parameters if parameters is not None else Parameters()
        self.parameters_digest = digest(canonical_bytes(self.parameters))
        self.market = Market(
            window=self.parameters.risk_window_sessions,
            volume_window=self.parameters.volume_sessions,
        )
        # No part of the state, as they follow from the portfolios: whom a signal can wake, and when
        # those that could begin a round now had their last.
        self.hearers = Hearers()
        self.idle = Timers()
        # No part of the state: whether it only follows what was decided, and decides nothing.
        self.follows = False
        # No part of the state: what portfolios that hear the same views need not work out again,
        # and what rounds need not where most views are those of the round before.
        self.opinions: Recall[Opinion] = Recall(entries_max=OPINIONS_MAX)
        self.weighings: Recall[Weighing] = Recall(entries_max=WEIGHINGS_MAX)
        self.columns: Recall[Columns] = Recall(entries_max=COLUMNS_MAX)
        self.groups: Recall[Groups] = Recall(entries_max=GROUPS_MAX)

    def may_decide(self, portfolio: Portfolio) -> bool:
        """Whether neither it nor everything is paused, and it is not closed."""
        return portfolio.active and not self.paused and not self.follows

    def tradable(self, instrument: Instrument) -> bool:
        """Whether it has a fresh enough price and is neither halted nor delisted."""
        if instrument.halted or instrument.delisted:
            return False
        if self.parameters.sessions == "observed":
            age = self.market.session - float(self.market.price_session[instrument.column])
        else:
            passed = self.clock - int(self.market.price_time[instrument.column])
            age = passed / (self.parameters.session_ms * MILLISECOND)
        return age <= self.parameters.price_age_sessions_max

    def session_now(self) -> float:
        """Sessions passed: counted where session closes are observed, else by the clock."""
        if self.parameters.sessions == "observed":
            return float(self.market.session)
        return self.clock / (self.parameters.session_ms * MILLISECOND)
