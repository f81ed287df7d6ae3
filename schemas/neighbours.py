"""Who sends and who receives what: the topics, their keys and the services around the engine.

Place in the flow: read by `schemas.asyncapi` and `schemas.page`; the engine itself knows no
neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.registry import EVENTS, OUTPUTS

__all__ = ["CONSUMERS", "PRODUCERS", "TOPICS", "Consumer", "Producer", "Topic", "events_of"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One channel. key: what its messages are partitioned by."""

    name: str
    key: str
    what: str


@dataclass(frozen=True, slots=True)
class Producer:
    """A service that sends events of one topic to us."""

    name: str
    topic: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A service that acts on what the engine says. also: what it takes beside events."""

    name: str
    events: tuple[str, ...]
    also: str = ""


TOPICS = (
    Topic("signals", "source", "What sources think of instruments."),
    Topic("market", "instrument", "Instruments, prices and what is published about them."),
    Topic("portfolios", "portfolio", "Mandates, cash and what custodians report."),
    Topic("orders", "portfolio", "What became of the trades that were decided."),
    Topic("constraints", "portfolio or strategy", "What neighbours impose."),
    Topic("outcomes", "decision or source", "What came of signals and decisions."),
    Topic("control", "name", "Who may speak, with which parameters, and whether at all."),
    Topic(
        "journal",
        "shard",
        "The one ordered log of a shard: every input, routed, and the engine's own life.",
    ),
    Topic("decisions", "shard", "All that the engine says, chained by hash."),
)
"""Every topic, in the order of the data flow."""


def events_of(topic: str) -> tuple[str, ...]:
    """Names of the topic's own events, in the registry's order."""
    return tuple(name for name, cls in EVENTS.items() if cls.topic == topic)


def _all_of(topic: str, *names: str) -> tuple[Producer, ...]:
    """Services that may each send any event of the topic."""
    return tuple(Producer(name, topic, events_of(topic)) for name in names)


PRODUCERS = (
    *_all_of(
        "signals",
        "Trading Decision",
        "Market Prediction",
        "Pattern Recognition",
        "External Data",
        "Third Parties",
    ),
    *_all_of(
        "market", "Market Data", "Instrument Analysis", "Market Intelligence", "Historical Data"
    ),
    Producer(
        "Portfolio Management",
        "portfolios",
        tuple(name for name in events_of("portfolios") if name != "PositionsReported"),
    ),
    Producer("Portfolio State", "portfolios", ("PositionsReported",)),
    *_all_of("orders", "Trade Execution"),
    Producer("Position Sizing", "constraints", ("SizeCapped",)),
    Producer("Risk Coordination", "constraints", ("RiskLimitChanged",)),
    Producer("Risk Budget", "constraints", ("RiskBudgetChanged",)),
    Producer("Conflict Resolution", "constraints", ("ConflictRuled",)),
    Producer("Policy Enforcement", "constraints", ("PolicyVetoed",)),
    *_all_of("outcomes", "Performance Attribution"),
    *_all_of("control", "Configuration", "Strategy Optimization", "System Monitoring", "Operators"),
    Producer("Router", "journal", ("RoutedInput", "SignalsShed")),
    Producer("Shard Owner", "journal", ("ClockTicked", "EngineStarted", "RoundsPaced")),
    Producer("Seal Command", "journal", ("EngineSealed",)),
)
"""Services and what each of them sends."""

CONSUMERS = (
    Consumer("Trade Execution", ("AllocationDecided",)),
    Consumer("Coordination Distribution", ("AllocationDecided",)),
    Consumer("Policy Enforcement", ("AllocationDecided",)),
    Consumer("Position Sizing", ("AllocationDecided",)),
    Consumer("Risk Coordination", ("AllocationDecided", "ConflictsDetected")),
    Consumer("Risk Budget", ("AllocationDecided", "ConflictsDetected")),
    Consumer(
        "Portfolio Management",
        (
            "PortfolioViewUpdated",
            "PortfolioPaneClosed",
            "PortfolioReconciled",
            "ReconciliationDiffered",
            "CorporateActionTaken",
            "HoldingChanged",
        ),
    ),
    Consumer("Performance Attribution", ("AllocationDecided",), "contributions of each signal"),
    Consumer("Reporting", ("QualityScored",), "all projections"),
    Consumer("User Interface", ("QualityScored",), "all projections"),
    Consumer(
        "Strategy Optimization",
        ("ParametersAdapted", "SourceCalibrated", "SourcePaneClosed"),
        "records of sources",
    ),
    Consumer("Configuration", ("ParametersAdapted", "SourceCalibrated"), "records of sources"),
    Consumer("System Monitoring", ("AlertRaised",), "metrics"),
    Consumer("Any Reader", OUTPUTS, "the whole chain, which proves itself"),
)
"""Services and what each of them takes of the decisions."""
