"""Topic `control`: who may speak, with which parameters, and whether we coordinate at all.

Keyed by name.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.adaptation import Adaptation
from schemas.base import Amount, Currency, InputEvent, Model, Name, Origin, Probability, Text
from schemas.weights import ModePreset, PriorityWeights, QualityWeights, VolumePart, VolumeShare

__all__ = [
    "CoordinationPaused",
    "CoordinationResumed",
    "ModePreset",
    "Normalisation",
    "Parameters",
    "ParametersChanged",
    "PriorityWeights",
    "QualityWeights",
    "SourceRegistered",
    "StrategyMuted",
    "StrategyRegistered",
    "VolumeShare",
]

Positive = Annotated[float, Field(gt=0, le=1e6)]
Milliseconds = Annotated[int, Field(ge=0, le=10**12)]
HalfLife = Annotated[float, Field(ge=1, le=1e6)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
GRACE_PANES_MAX = 60
"""Panes that a source's pane may wait for after its end, at most."""


Normalisation = Literal["spread", "zscore", "rank"]
"""How a source's raw scores become scores; see `SourceRegistered.normalisation`."""


class ControlEvent(InputEvent):
    """An operator's or a service's word on how to run."""

    topic: ClassVar[str] = "control"
    origin: ClassVar[Origin] = Origin.EXOGENOUS


class SourceRegistered(ControlEvent):
    """A source may speak from now on; said again, its terms change."""

    source: Name
    """Id that its signals will carry."""
    kind: Annotated[str, Field(max_length=64)] = "other"
    """What it is: model, analyst, agent, rule, external."""
    horizon_sessions: Annotated[float, Field(gt=0, le=10_000)] = 5.0
    """Horizon of its signals that state none."""
    strategies: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    """Strategies it may speak for; empty: any."""
    instruments: Annotated[tuple[Name, ...], Field(max_length=10_000)] = ()
    """Instruments it may speak of; empty: any."""
    rate_per_minute: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Signals that count in a minute of the input topic's time; absent: any number."""
    priority: Probability = 0.5
    """How much its signals matter beside those of others, where something must come first."""
    capital: Amount | None = None
    """Money that the wishes of its strategies without one of their own may tie up together, in each
    portfolio; absent: not stated."""
    capital_currency: Currency | None = None
    """Of the capital; absent: each portfolio's own."""
    risk_budget: Probability | None = None
    """Share of a portfolio's risk that the same wishes may take; absent: not stated."""
    error_group: Name | None = None
    """Sources of one group err together: the same model, vendor or raw material."""
    normalisation: Normalisation = "spread"
    """How its raw scores become scores. spread: divided by its own spread through time. zscore:
    winsorised, less their mean and over their deviation across the names that its strategy
    forecasts now. rank: the normal score of their order among these."""


class StrategyRegistered(ControlEvent):
    """A strategy of a source, with its terms; what is left out is as the source has it."""

    source: Name
    """Whose strategy it is."""
    strategy: Name
    """Id that its signals will carry."""
    horizon_sessions: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Trading sessions of its signals that state none; absent: the source's."""
    instruments: Annotated[tuple[Name, ...], Field(max_length=10_000)] = ()
    """Instruments it may speak of, of those of its source; empty: all of these."""
    priority: Probability | None = None
    """How much its signals matter beside those of others; absent: as its source's."""
    capital: Amount | None = None
    """Money its wishes may tie up in each portfolio; absent: its source's, shared."""
    capital_currency: Currency | None = None
    """Of the capital; absent: each portfolio's own."""
    risk_budget: Probability | None = None
    """Share of a portfolio's risk that its wishes may take; absent: its source's, shared."""


class StrategyMuted(ControlEvent):
    """Signals of a source, or of one strategy, do not count; with `muted` false they do again."""

    source: Name
    """Whose signals."""
    strategy: Name | None = None
    """Only this strategy of the source; absent: all of them."""
    muted: bool = True
    """Whether they stop counting, or count again."""
    reason: Text = ""
    """Why, for people."""


class CoordinationPaused(ControlEvent):
    """No decisions for this portfolio, or for all, until resumed."""

    portfolio: Name | None = None
    """Which one; absent: all."""
    reason: Text = ""
    """Why, for people."""


class CoordinationResumed(ControlEvent):
    """Decisions again for this portfolio, or for all."""

    portfolio: Name | None = None
    """Which one; absent: all."""


class Parameters(Model):
    """Every number the engine's rules use, in the log, so that history replays under its own."""

    window_ms: Milliseconds = 10
    """How long a round collects signals after the first."""
    round_spacing_ms: Milliseconds = 50
    """Least time between two rounds of one portfolio."""
    expiry_opens_rounds: bool = False
    """Whether a view whose time is over opens a round of those who heard it, as a signal does."""
    lateness_ms_max: Milliseconds = 7 * 86_400_000
    """Signals older than this on arrival are stale; also how long event ids are remembered."""
    clock_skew_ms_max: Milliseconds = 5_000
    """How far in the future a producer's time may lie."""
    clock_jump_ms_max: Milliseconds = 14 * 86_400_000
    """A larger step of the engine's clock is reported as ClockJumped."""
    event_ids_max: Annotated[int, Field(ge=1, le=10**8)] = 1_000_000
    """Most event ids remembered to find duplicates; the oldest are forgotten first."""
    sessions: Literal["observed", "clock"] = "observed"
    """What counts a session: session closes in the prices, or every session_ms of the clock."""
    session_ms: Annotated[int, Field(ge=1, le=10**12)] = 86_400_000
    """Length of a session that is counted by the clock."""
    skill_prior: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Information coefficient of a source before any outcome is known."""
    confidence_slope_prior: Annotated[float, Field(gt=0, le=0.5)] = 0.0399
    """Hit rate above one half that a stated confidence of 1 is believed to give; 0.0399 makes
    confidence 0.5 mean the prior skill."""
    learning: bool = True
    """Whether skill and calibration are learned from outcomes; else they stay at their priors."""
    skill_count_prior: Positive = 400.0
    """Outcomes of unit score that the prior skill counts for: it is known to 1 / their root."""
    skill_half_life_sessions: Positive = 500.0
    """Sessions after which an outcome teaches half as much."""
    calibration_count_prior: Positive = 100.0
    """Outcomes that the prior meaning of confidence counts for."""
    error_count_prior: Positive = 100.0
    """Pairs of opinions that an assumed correlation of two sources' errors counts for."""
    outcomes_max: Annotated[int, Field(ge=0, le=10**7)] = 200_000
    """Signals that wait for their outcome at a time; further ones teach nothing."""
    skill_min: Annotated[float, Field(ge=0, le=0.5)] = 0.005
    """Views with less absolute skill are dropped."""
    score_max: Positive = 2.5
    """Scores are clipped here, standard deviations."""
    score_count_prior: Annotated[int, Field(ge=0, le=10_000)] = 20
    """Raw scores of a source seen before its own spread is trusted."""
    view_correlation: Annotated[float, Field(ge=0, le=0.98)] = 0.0
    """Correlation assumed between two sources' view errors."""
    group_correlation: Annotated[float, Field(ge=0, le=0.98)] = 0.5
    """The same of two sources of one error group, where it is more."""
    cross_section_min: Annotated[int, Field(ge=3, le=10_000)] = 5
    """Fewest names that scores are normalised across; of fewer, a strategy says nothing."""
    baskets_max: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Pairs and baskets that a round weighs, the surest first; further ones have no effect."""
    target_risk_aversion: Positive = 8.0
    """Risk aversion that a source is taken to have whose signals are target weights."""
    signal_weight_max: Positive = 10.0
    """Target weights beyond this, either way, are out of range."""
    signal_horizon_max: Positive = 2_000.0
    """Signals about more sessions than this are out of range."""
    signal_return_max: Positive = 2.0
    """Expected returns beyond this, either way, are out of range; a fraction over the horizon."""
    signal_price_gap_max: Positive = 0.2
    """A signal's own price may lie this far from the last one, a fraction."""
    conflict_severity_min: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Conflicts milder than this are not reported."""
    conflict_correlation_min: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Views on two instruments conflict only above this absolute correlation."""
    conflict_stale_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """An opposite view conflicts as a stale one where the part of it that is still to come is at
    most this share of the fresher one's."""
    conflicts_max: Annotated[int, Field(ge=0, le=10_000)] = 200
    """Conflicts reported per round, the most severe first; the rest are counted."""
    priority_weights: PriorityWeights = PriorityWeights()
    """How much each part counts in a priority."""
    quality: bool = True
    """Whether every decision is scored."""
    quality_weights: QualityWeights = QualityWeights()
    """How much each part counts in that score."""
    horizon_sessions_min: Positive = 5.0
    """Shortest horizon of an allocation."""
    risk_window_sessions: Annotated[int, Field(ge=2, le=2_000)] = 250
    """Sessions of returns kept for the covariance."""
    risk_volatility_prior: Positive = 0.02
    """One-session volatility before observations."""
    risk_correlation_prior: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Correlation before observations."""
    risk_weight_prior: Positive = 60.0
    """Sessions the prior counts for."""
    risk_model: Literal["blended", "ewma", "factor"] = "blended"
    """How a covariance is estimated: every session of the window alike, fading ones with
    correlations shrunk to the prior's, or common factors of fading ones."""
    risk_volatility_half_life_sessions: HalfLife = 84.0
    """Sessions after which a return counts half for a volatility, of models that fade."""
    risk_correlation_half_life_sessions: HalfLife = 252.0
    """The same for correlations and factors."""
    risk_shrinkage: Probability | None = None
    """Share of the prior in the correlations of "ewma"; absent: that of least expected error."""
    risk_factors: Annotated[int, Field(ge=0, le=200)] = 20
    """Common factors of "factor"; 0: as many as the returns tell, at most 20."""
    risk_published: Name | None = None
    """The published risk model that counts, by its name; absent: that published last."""
    risk_published_sessions_max: Annotated[float, Field(ge=0, le=10_000)] = 5.0
    """A published risk model is used until it is that many sessions old; 0: none is used."""
    risk_bias_half_life_sessions: Annotated[float, Field(ge=0, le=1e6)] = 250.0
    """Sessions after which a forecast of a portfolio's volatility counts half in what is told of
    their bias; 0: none is kept."""
    price_age_sessions_max: Positive = 5.0
    """An instrument whose price is older is held, not traded."""
    view_interval_ms: Annotated[int, Field(ge=60_000, le=10**12)] = 86_400_000
    """Portfolio views are emitted at least this often while anything changes."""
    view_delay_ms: Milliseconds = 1_000
    """How long after a fill, or money, a portfolio is shown at the latest."""
    pane_ms: Annotated[int, Field(ge=1_000, le=86_400_000)] = 60_000
    """Length of the panes in which activity is counted, on a grid that begins in 1970."""
    pane_grace_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 5_000
    """How long after its end a source's pane still waits for signals of its time."""
    movements_max: Annotated[int, Field(ge=0, le=10**6)] = 2_000
    """Fills and moves of money kept of a portfolio, to hold an older positions report against."""
    cash_tolerance: Annotated[float, Field(ge=0, le=1e9)] = 0.005
    """Reported cash may differ by this much, money: what custodians round away."""
    volume_sessions: Annotated[int, Field(ge=1, le=250)] = 20
    """Sessions that an average daily volume is taken over."""
    volume_prior: Annotated[float, Field(gt=0, le=1e15)] | None = None
    """Value traded in a session that is assumed where no volume is known, in the portfolio's
    currency; absent: no impact is charged there, and the decision says so."""
    impact_exact_max: Annotated[int, Field(ge=0, le=10_000)] = 250
    """Of more instruments than that, a problem charges impact by a square, not by the 3/2 power."""
    impact_reference: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Traded weight at which the square charges as much as the 3/2 power."""
    sleeves: Literal["off", "books", "budgets"] = "off"
    """Whether decisions are split over strategies. books: afterwards, so that each keeps a book of
    its own and what they do against each other is netted; the decision is as without. budgets: as
    part of the decision, which keeps each within its budgets, as far as the mode bounds or charges
    what belongs to no strategy (`house_max`, `house_weight`): where it does neither, they bound
    nothing."""
    sleeves_max: Annotated[int, Field(ge=1, le=1_000)] = 50
    """Strategies of a decision that are told apart, the largest wishes first; the rest is the
    house's."""
    modes: Annotated[tuple[ModePreset, ...], Field(min_length=1, max_length=100)] = (
        ModePreset(mode="aggressive", risk_aversion=3.0),
        ModePreset(mode="balanced", risk_aversion=8.0),
        ModePreset(mode="conservative", risk_aversion=20.0),
    )
    """Presets by name."""
    adaptation: Adaptation = Adaptation()
    """Rules by which risk aversion, turnover and budgets move with regime, volatility, drawdown and
    signal quality; without one they stay where they are."""
    firm_volume_share: VolumePart | None = None
    """Share of an average session's volume that all portfolios together may trade in a session, of
    each instrument; absent: no bound, and mandates bound single decisions alone."""
    volume_shares: Annotated[tuple[VolumeShare, ...], Field(max_length=100_000)] = ()
    """How the firm's share is divided, sorted by portfolio; together no more than it. A portfolio
    without an entry trades nothing while there is a firm's share."""

    @model_validator(mode="after")
    def _few_open_panes(self) -> Self:
        """A source's open panes are looked through for each of its signals."""
        if self.pane_grace_ms > GRACE_PANES_MAX * self.pane_ms:
            message = f"pane_grace_ms is at most {GRACE_PANES_MAX} times pane_ms"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _shares_within_the_firms(self) -> Self:
        """Checked as a whole, in decimals: a tenth three times is three tenths."""
        names = [one.portfolio for one in self.volume_shares]
        if names != sorted(set(names)):
            message = "volume_shares must be sorted by portfolio and unique"
            raise ValueError(message)
        if self.firm_volume_share is None:
            if names:
                message = "volume_shares divide a firm_volume_share: state it"
                raise ValueError(message)
            return self
        together = sum((Decimal(repr(one.share)) for one in self.volume_shares), Decimal(0))
        # Shares that were divided in floats may miss the whole by a last digit.
        if together > Decimal(repr(self.firm_volume_share)) * (1 + Decimal("1e-12")):
            message = f"volume_shares are {together} together, above firm_volume_share"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _unique_modes(self) -> Self:
        names = [preset.mode for preset in self.modes]
        if names != sorted(set(names)):
            message = "modes must be sorted by name and unique"
            raise ValueError(message)
        return self


class ParametersChanged(ControlEvent):
    """The whole set of parameters from now on."""

    parameters: Parameters
    """All of them; a field left out takes its default, not its former value."""
    reason: Text = ""
    """Why, for people."""
