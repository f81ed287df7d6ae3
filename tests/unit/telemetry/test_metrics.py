"""Names by convention, label values bounded and clean, values where they belong."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from coordinator.telemetry.metrics import LABEL_VALUES_MAX, OTHER, STAGES, Metrics
from coordinator.telemetry.stalls import watch_stalls


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_every_name_follows_the_conventions() -> None:
    for family in Metrics().registry.collect():
        if family.name.startswith("process_"):
            continue
        assert re.fullmatch(r"coordinator_[a-z][a-z_]*[a-z]", family.name)
        assert family.documentation.endswith("."), family.name
        assert not family.name.endswith(("_ms", "_count", "_created"))
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_every_stage_is_there_before_its_first_value() -> None:
    metrics = Metrics()
    assert {"ingest", "queue", "window", "solve", "publish", "total"} < STAGES.keys()
    for stage in STAGES:
        assert value(metrics, "coordinator_stage_seconds_count", stage=stage) == 0
    metrics.stage_seconds.labels(stage="solve").observe(0.004)
    assert value(metrics, "coordinator_stage_seconds_sum", stage="solve") == 0.004
    bounds = {"0.001", "0.005", "0.075", "0.2", "60.0", "+Inf"}
    for le in bounds:
        assert value(metrics, "coordinator_stage_seconds_bucket", stage="solve", le=le) is not None


def test_labels_go_by_order_or_by_name_and_must_be_complete() -> None:
    metrics = Metrics()
    metrics.lag_records.labels("journal", 3).set(7)
    metrics.lag_records.labels(shard=3, topic="journal").inc()
    assert value(metrics, "coordinator_lag_records", topic="journal", shard="3") == 8
    for wrong in ((), ("journal",), ("journal", 3, 4)):
        with pytest.raises(ValueError, match="labels are topic, shard"):
            metrics.lag_records.labels(*wrong)
    with pytest.raises(ValueError, match="labels are topic, shard"):
        metrics.lag_records.labels("journal", color="red")


def test_a_hostile_source_cannot_make_more_than_so_many_series() -> None:
    metrics = Metrics()
    for number in range(5_000):
        metrics.shed.labels(source=f"s{number}").inc()
    assert value(metrics, "coordinator_shed_signals_total", source="s0") == 1
    kept = LABEL_VALUES_MAX["source"]
    assert value(metrics, "coordinator_shed_signals_total", source=OTHER) == 5_000 - kept
    assert len(metrics.render()) < 100_000


@given(st.lists(st.text(max_size=300), max_size=20))
def test_any_label_value_gives_a_page_that_parses(names: list[str]) -> None:
    metrics = Metrics(secrets=["open sesame"])
    for name in [*names, "\ud800 lone", 'quote " \\ \n', "", "open sesame"]:
        metrics.shed.labels(source=name).inc()
        metrics.rejections.labels(kind="signal", reason=name).inc()
    page = metrics.render().decode("utf-8")
    assert "sesame" not in page
    families = {family.name: family for family in text_string_to_metric_families(page)}
    shed = families["coordinator_shed_signals"].samples
    assert sum(sample.value for sample in shed) == len(names) + 4


def test_what_is_said_of_a_shard_goes_with_it() -> None:
    metrics = Metrics()
    for topic in ("journal", "decisions"):
        metrics.lag_records.labels(topic, 3).set(1)
        metrics.lag_records.labels(topic, 4).set(1)
    metrics.forget_shard(3)
    metrics.forget_shard(99)
    page = metrics.render().decode()
    assert 'shard="3"' not in page
    assert page.count('shard="4"') == 2
    metrics.lag_records.labels("journal", 3).set(5)
    assert value(metrics, "coordinator_lag_records", topic="journal", shard="3") == 5


def test_two_sets_of_metrics_do_not_know_each_other() -> None:
    first, second = Metrics(version="1", build="abc"), Metrics()
    first.conflicts.labels("opposite").inc()
    assert value(second, "coordinator_conflicts_total", kind="opposite") is None
    assert value(first, "coordinator_build_info", version="1", build="abc") == 1


def test_the_longest_stall_is_kept() -> None:
    metrics = Metrics()
    for seconds in (0.1, 0.5, 0.2):
        metrics.stalled(seconds)
    assert value(metrics, "coordinator_loop_stall_max_seconds") == 0.5
    assert value(metrics, "coordinator_loop_stall_seconds_count") == 3


def test_a_loop_that_is_blocked_shows_in_the_stalls() -> None:
    metrics = Metrics()

    async def blocked() -> None:
        watch = asyncio.create_task(watch_stalls(metrics, every_s=0.01))
        await asyncio.sleep(0.05)
        time.sleep(0.2)  # noqa: ASYNC251 - blocking is what is measured
        await asyncio.sleep(0.05)
        watch.cancel()

    asyncio.run(blocked())
    assert 0.15 < (value(metrics, "coordinator_loop_stall_max_seconds") or 0) < 10
