"""What is counted and measured, as Prometheus metrics in one registry.

Place in the flow: one object a process, made by its command and handed down; shells and projections
set it, HTTP renders it. Must never grow without bound: a label takes a limited number of values,
however hostile the sources that name themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from coordinator.settings import Redactor

__all__ = ["LABEL_VALUES_MAX", "OTHER", "STAGES", "Labelled", "Metrics"]

STAGES: Mapping[str, str] = {
    "ingest": "From the source's record in the broker to its entry in the journal.",
    "queue": "From the journal to the moment at which the engine takes the entry up.",
    "window": "From a round's first signal to its end, as the engine's clock has it.",
    "solve": "Deciding a round: views, conflicts, allocation, its events.",
    "publish": "From the decision to the broker's acknowledgement of it.",
    "total": "The whole way of a round's first signal, ingest to publish.",
    "route": "Beside the way: from the oldest record that a router fetched to its entry.",
    "checkpoint": "Beside the way: from a state written down to the topic; the shard goes on.",
}
"""Where a signal's time goes."""

OTHER = "other"
LABEL_LENGTH_MAX = 100
LABEL_VALUES_MAX: Mapping[str, int] = {
    "stage": 32,
    "topic": 64,
    "shard": 1024,
    "rung": 32,
    "status": 32,
    "kind": 32,
    "reason": 64,
    "source": 100,
    "projection": 32,
    "version": 8,
    "build": 8,
}
"""How many values of a label a metric keeps apart; the later ones are OTHER."""

_LATENCY_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)
_RECOVERY_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_STALL_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

Metric = TypeVar("Metric", Counter, Gauge, Histogram)


class Labelled(Generic[Metric]):
    """A metric whose labels take a limited number of values. Safe to use from any thread."""

    def __init__(self, metric: Metric, names: tuple[str, ...], redactor: Redactor) -> None:
        self._metric: Any = metric
        self._names = names
        self.name: str = self._metric.describe()[0].name
        self.label_names = names
        self._redactor = redactor
        self._known: dict[str, dict[str, str]] = {name: {} for name in names}
        self._mutex = threading.Lock()

    def labels(self, *values: object, **named: object) -> Metric:
        """The one series of these label values, given in order or by name.

        Raises ValueError when a label is missing or unknown.
        """
        given = dict(zip(self._names, values, strict=False)) | named
        if len(values) > len(self._names) or given.keys() != set(self._names):
            raise ValueError(f"labels are {', '.join(self._names)}")
        shown = {name: self._bounded(name, str(given[name])) for name in self._names}
        found: Metric = self._metric.labels(**shown)
        return found

    def forget(self, **named: object) -> None:
        """Remove every series with these label values: of a shard that another worker has now."""
        wanted = {name: self._known[name].get(str(value)) for name, value in named.items()}
        with self._mutex:
            if OTHER in wanted.values() or None in wanted.values():
                return
            for sample in _series(self._metric, self._names):
                if all(sample[name] == value for name, value in wanted.items()):
                    self._metric.remove(*(sample[name] for name in self._names))

    def _bounded(self, name: str, value: str) -> str:
        known = self._known[name]
        shown = known.get(value)
        if shown is not None:
            return shown
        with self._mutex:
            if len(known) >= LABEL_VALUES_MAX[name]:
                return OTHER
            return known.setdefault(value, _printable(self._redactor.text(value)))


def _series(metric: Any, names: tuple[str, ...]) -> list[dict[str, str]]:
    """The label values of each series that a metric has."""
    found = {
        tuple(sample.labels.get(name, "") for name in names)
        for family in metric.collect()
        for sample in family.samples
    }
    return [dict(zip(names, values, strict=True)) for values in sorted(found)]


def _printable(value: str) -> str:
    """A label value that any encoder and any screen takes; never empty, which means no label."""
    cut = value[:LABEL_LENGTH_MAX].encode("utf-8", "replace").decode("utf-8")
    return "".join(one if one.isprintable() else "?" for one in cut) or "none"


@dataclass(frozen=True, slots=True)
class _Maker:
    registry: CollectorRegistry
    redactor: Redactor

    def counter(self, name: str, meaning: str, *labels: str) -> Labelled[Counter]:
        made = Counter(f"coordinator_{name}", meaning, labels, registry=self.registry)
        return Labelled(made, labels, self.redactor)

    def gauge(self, name: str, meaning: str, *labels: str) -> Labelled[Gauge]:
        made = Gauge(f"coordinator_{name}", meaning, labels, registry=self.registry)
        return Labelled(made, labels, self.redactor)

    def histogram(
        self, name: str, meaning: str, *labels: str, buckets: tuple[float, ...]
    ) -> Labelled[Histogram]:
        made = Histogram(
            f"coordinator_{name}", meaning, labels, buckets=buckets, registry=self.registry
        )
        return Labelled(made, labels, self.redactor)

    def one(self, kind: type[Metric], name: str, meaning: str, **options: Any) -> Metric:
        return kind(f"coordinator_{name}", meaning, registry=self.registry, **options)


class Metrics:
    """Every metric of a process. secrets: what no label value may show."""

    def __init__(
        self, *, version: str | None = None, build: str = "", secrets: Iterable[str] = ()
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # The library left it untyped.
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        make = _Maker(self.registry, Redactor(secrets))

        self.stage_seconds = make.histogram(
            "stage_seconds",
            "From a signal to its decision, by stage; shards without portfolios are left out.",
            "stage",
            buckets=_LATENCY_S,
        )
        for stage in STAGES:
            self.stage_seconds.labels(stage)
        self.records = make.counter(
            "records",
            "Records by what was done with them: routed, conflated, viewed, applied, published.",
            "stage",
        )
        self.lag_records = make.gauge(
            "lag_records", "Records of a topic's shard that are not yet read.", "topic", "shard"
        )
        self.lag_seconds = make.gauge(
            "lag_seconds",
            "For how long there have been records to read and none was read.",
            "topic",
            "shard",
        )
        self.solver_status = make.counter(
            "solver_results", "Allocations by the ladder's rung and what it said.", "rung", "status"
        )
        self.conflicts = make.counter("conflicts", "Conflicts found, by kind.", "kind")
        self.rejections = make.counter(
            "rejections",
            "What was refused, by kind (signal, input) and reason.",
            "kind",
            "reason",
        )
        self._add_trouble(make)
        self._add_process(make)
        self._add_projections(make)
        self.build_info = make.gauge(
            "build_info", "Always 1; the labels say what runs.", "version", "build"
        )
        if version is None:
            version = metadata.version("coordination-engine")
        self.build_info.labels(version, build).set(1)

    def _add_trouble(self, make: _Maker) -> None:
        self.dead_letters = make.counter(
            "dead_letters",
            "Records put aside as dead letters, by where they came from.",
            "topic",
        )
        self.dlq_depth = make.gauge(
            "dlq_depth_records", "Dead letters that stand in a topic now.", "topic"
        )
        self.shed = make.counter(
            "shed_signals", "Signals shed under overload, by source.", "source"
        )
        self.divergence = make.counter(
            "divergence",
            "Outputs that differ from what the log holds; each one halted its shard.",
            "shard",
        )
        self.repeats = make.counter(
            "repeats",
            "Outputs that another owner of the shard wrote beside this one's, and equal to them.",
            "shard",
        )

    def _add_process(self, make: _Maker) -> None:
        self.recovery_seconds = make.one(
            Histogram,
            "recovery_seconds",
            "From taking a shard to deciding for it: checkpoint, catch-up, audit.",
            buckets=_RECOVERY_S,
        )
        self.loop_stall_seconds = make.one(
            Histogram,
            "loop_stall_seconds",
            "How much later than asked the event loop woke.",
            buckets=_STALL_S,
        )
        self.loop_stall_max_seconds = make.one(
            Gauge,
            "loop_stall_max_seconds",
            "The longest that the event loop stood still since the start.",
        )
        self._stall_max = 0.0
        self.shards_owned = make.one(Gauge, "shards_owned", "Shards that this worker decides for.")
        self.ready = make.one(Gauge, "ready", "1 when the process is ready, as in /readyz.")

    def _add_projections(self, make: _Maker) -> None:
        self.projection_lag_records = make.gauge(
            "projection_lag_records",
            "Records that a projection has not yet taken.",
            "projection",
            "shard",
        )
        self.projection_lag_seconds = make.gauge(
            "projection_lag_seconds",
            "Age of the oldest record that a projection has not yet taken.",
            "projection",
            "shard",
        )

    def stalled(self, seconds: float) -> None:
        """Note one standstill of the event loop."""
        self.loop_stall_seconds.observe(seconds)
        if seconds > self._stall_max:
            self._stall_max = seconds
            self.loop_stall_max_seconds.set(seconds)

    def forget_shard(self, shard: int) -> None:
        """Remove what is said of a shard that this worker no longer has."""
        for gauge in (self.lag_records, self.lag_seconds):
            gauge.forget(shard=shard)

    def render(self) -> bytes:
        """All of it in the text format of Prometheus."""
        return generate_latest(self.registry)
