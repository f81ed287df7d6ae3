"""Every metric with its type, labels and meaning, as data and as tables for people.

Place in the flow: read by the tests that hold pages, dashboards and alerts to the registry. Must
never list a metric by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.telemetry.metrics import STAGES, Labelled, Metrics

__all__ = ["MetricInfo", "metrics_reference", "metrics_tables"]

_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One metric. name: as it is queried; a histogram has the names of `samples`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    samples: tuple[str, ...]
    meaning: str


def metrics_reference() -> tuple[MetricInfo, ...]:
    """Every metric that a process of the engine serves, sorted by name."""
    metrics = Metrics()
    labels = {
        one.name: one.label_names for one in vars(metrics).values() if isinstance(one, Labelled)
    }
    found = []
    for family in metrics.registry.collect():
        suffixes = _SUFFIXES[family.type]
        samples = tuple(f"{family.name}{suffix}" for suffix in suffixes)
        found.append(
            MetricInfo(
                name=samples[0] if len(samples) == 1 else family.name,
                kind=family.type,
                labels=labels.get(family.name, ()),
                samples=samples,
                meaning=family.documentation,
            )
        )
    return tuple(sorted(found, key=lambda one: one.name))


def metrics_tables() -> str:
    """The tables of metrics and of stages, in Markdown."""
    lines = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for one in metrics_reference():
        labels = ", ".join(f"`{name}`" for name in one.labels)
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {one.meaning} |")
    lines += ["", "| stage | what it takes in |", "| --- | --- |"]
    lines += [f"| `{stage}` | {meaning} |" for stage, meaning in STAGES.items()]
    return "\n".join([*lines, ""])
