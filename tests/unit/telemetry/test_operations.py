"""Pages, dashboard, alerts and runbooks name what exists."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from coordinator.cli.main import COMMANDS, build_parser
from coordinator.telemetry.reference import metrics_reference, metrics_tables
from tests.house.findings import ROOT

OPS = ROOT / "ops"
RUNBOOKS = OPS / "docs/runbooks"
PAGES = [OPS / "docs/operations.md", *sorted(RUNBOOKS.glob("*.md"))]

SAMPLES = {name for one in metrics_reference() for name in one.samples}
LABELS = {
    sample: {*one.labels, "le"} if sample.endswith("_bucket") else set(one.labels)
    for one in metrics_reference()
    for sample in one.samples
}
COMMAND = re.compile(r"(?:^|`)coordinator ([a-z]+)(?: ([a-z]+))?", re.MULTILINE)
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
SCRAPED = {"instance", "job"}
WORDS = {
    *("histogram_quantile", "sum", "max", "min", "count", "avg", "rate", "increase", "changes"),
    *("absent", "vector", "by", "or", "and", "unless", "on", "offset"),
}


def faults(query: str) -> list[str]:
    """What a query names that does not exist: metrics, functions, labels of its metrics."""
    found: list[str] = []
    bare = re.sub(r"\[[^\]]*\]|\boffset \w+", "", query)
    used: set[str] = set()
    for matchers in re.findall(r"\{([^}]*)\}", bare):
        used |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    bare = re.sub(r"\{[^}]*\}", "", bare)
    for names in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", bare):
        used |= {name.strip() for name in names.split(",")}
    bare = re.sub(r"\b(by|on)\s*\([^)]*\)", r"\1", bare)
    words = set(re.findall(r"[A-Za-z_:][A-Za-z0-9_:]*", bare))
    metrics = words & SAMPLES
    found += [f"unknown word {word}" for word in sorted(words - SAMPLES - WORDS)]
    if not metrics:
        found.append("no metric")
    known = SCRAPED.union(*(LABELS[name] for name in metrics))
    return found + [f"unknown label {label}" for label in sorted(used - known)]


def test_a_wrong_query_is_caught() -> None:
    assert faults("sum by (stage) (rate(coordinator_stage_seconds_sum[5m]))") == []
    assert faults("rate(coordinator_stage_secs_sum[5m])") != []
    assert faults('coordinator_lag_records{stage="x"}') == ["unknown label stage"]
    assert faults("sum by (source) (coordinator_lag_records)") == ["unknown label source"]
    assert faults("summ(coordinator_ready)") == ["unknown word summ"]
    assert faults("coordinator_stage_seconds") != []
    assert faults("1 > 0") == ["no metric"]


def panels() -> Iterator[dict[str, Any]]:
    dashboard = json.loads((OPS / "dashboards/coordinator.json").read_text(encoding="utf-8"))
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def test_every_query_of_the_dashboard_names_what_exists() -> None:
    queries = [(panel["title"], one["expr"]) for panel in panels() for one in panel["targets"]]
    assert len(queries) > 25
    for title, query in queries:
        assert faults(query) == [], title


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = " ".join(one["expr"] for panel in panels() for one in panel["targets"])
    for one in metrics_reference():
        if one.name.startswith("coordinator_"):
            assert any(sample in shown for sample in one.samples), one.name


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """Its data source is a variable, no panel lies upon another, and ids are its own."""
    dashboard = json.loads((OPS / "dashboards/coordinator.json").read_text(encoding="utf-8"))
    assert dashboard["id"] is None
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    places = [
        (panel["gridPos"]["x"] + right, panel["gridPos"]["y"] + down)
        for panel in dashboard["panels"]
        for right in range(panel["gridPos"]["w"])
        for down in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(across for across, _ in places) < 24


def alerts() -> list[dict[str, Any]]:
    """Each rule of the alert file, with its labels and annotations beside its own fields."""
    text = (OPS / "alerts/coordinator.yml").read_text(encoding="utf-8")
    (group,) = yaml.safe_load(text)["groups"]
    return [rule | rule["labels"] | rule["annotations"] for rule in group["rules"]]


def test_the_alerts_say_what_where_and_how_grave() -> None:
    assert len(alerts()) == 10
    for alert in alerts():
        assert alert["alert"].startswith("Coordinator")
        assert alert["severity"] in {"warning", "critical"}
        assert alert["summary"]
        assert faults(alert["expr"]) == [], alert["alert"]
        named = set(re.findall(r"\$labels\.(\w+)", alert["summary"]))
        assert not named or named <= set(re.findall(r"\w+", alert["expr"])) | SCRAPED


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    pages = {alert["alert"]: ROOT / alert["runbook"] for alert in alerts()}
    for name, page in pages.items():
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {name}\n")
        for part in ("**What it means.**", "**What to look at.**", "**What to do.**"):
            assert part in text, page
        listed = f"| {name} | [{page.stem}]({page.name}) |"
        assert listed in (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    written = {page for page in RUNBOOKS.glob("*.md") if page.name != "README.md"}
    assert written == set(pages.values())


def test_the_commands_of_the_pages_exist() -> None:
    named = {
        (command, verb)
        for page in PAGES
        for command, verb in COMMAND.findall(page.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    for command, verb in sorted(named):
        assert command in COMMANDS
        assert parses([command, *([verb] if verb else []), "--help"]), (command, verb)


def parses(words: list[str]) -> bool:
    """Whether the command line takes these words, which end with --help."""
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(io.StringIO()):
        build_parser(words[0]).parse_args(words)
    return ended.value.code == 0


def test_the_command_lines_of_the_pages_are_complete() -> None:
    lines = [
        line
        for page in PAGES
        for block in BLOCK.findall(page.read_text(encoding="utf-8"))
        for line in re.findall(r"(?:^|\s)coordinator (.*)", block)
    ]
    assert len(lines) > 3
    for line in lines:
        words = shlex.split(line)
        assert callable(build_parser(words[0]).parse_args(words).run)


def test_the_links_of_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page, link)


def test_the_metrics_of_the_page_are_those_of_the_code() -> None:
    """After a change, put what `python -m coordinator.telemetry` prints between the marks."""
    page = (OPS / "docs/operations.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- metrics: .* -->\n(.*)<!-- /metrics -->", page, re.DOTALL)
    assert found is not None
    assert found[1] == metrics_tables()
