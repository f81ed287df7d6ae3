"""Hypothesis strategies for the fields of every event, made from our own JSON Schemas."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from schemas.base import TIME_MAX, InputEvent
from schemas.control import GRACE_PANES_MAX, Parameters
from schemas.export import Document, reader_schema
from schemas.mandates import Mandate
from schemas.registry import EVENTS
from schemas.signals import FORMS

__all__ = ["INPUT_NAMES", "fields_of", "inputs", "rfc3339"]

INPUT_NAMES = tuple(name for name, cls in EVENTS.items() if issubclass(cls, InputEvent))
_TEXT = st.characters(exclude_categories=["Cs"])
_NAME = st.characters(exclude_categories=["C", "Z"])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def inputs() -> st.SearchStrategy[tuple[str, Document]]:
    """Names of input events with fields that the event accepts."""
    return st.sampled_from(INPUT_NAMES).flatmap(
        lambda name: st.tuples(st.just(name), fields_of(name))
    )


def fields_of(name: str) -> st.SearchStrategy[Document]:
    """Fields of one event, as JSON would give them."""
    schema = reader_schema(EVENTS[name])
    return _values(schema, schema).map(lambda fields: _fitted(name, fields))


def _values(node: Document, root: Document) -> st.SearchStrategy[Any]:
    if "$ref" in node:
        return _values(root["$defs"][node["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in node:
        return st.one_of([_values(branch, root) for branch in node["anyOf"]])
    if "const" in node or "enum" in node:
        return st.sampled_from(node.get("enum", [node.get("const")]))
    kind = node["type"]
    if kind in _PLAIN:
        return _PLAIN[kind](node)
    if kind == "array":
        return _arrays(node, root)
    required = node.get("required", ())
    parts = {name: _values(part, root) for name, part in node["properties"].items()}
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in required},
        optional={name: part for name, part in parts.items() if name not in required},
    )


def _least(node: Document) -> float:
    return float(node["minimum"] if "minimum" in node else node.get("exclusiveMinimum", -1e18))


def _most(node: Document) -> float:
    return float(node["maximum"] if "maximum" in node else node.get("exclusiveMaximum", 1e18))


def _numbers(node: Document) -> st.SearchStrategy[float]:
    return st.floats(
        _least(node),
        _most(node),
        exclude_min="exclusiveMinimum" in node,
        exclude_max="exclusiveMaximum" in node,
    )


def _strings(node: Document) -> st.SearchStrategy[str]:
    if node.get("format") == "decimal":
        low = math.ceil(Decimal(node["x-minimum"]) * 10**12)
        high = math.floor(Decimal(node["x-maximum"]) * 10**12)
        return st.integers(low, high).map(_decimal)
    if node.get("format") == "date-time":
        return st.builds(rfc3339, st.integers(0, TIME_MAX - 1), st.integers(-839, 839))
    if "pattern" in node:
        return st.text("0123456789abcdef", min_size=64, max_size=64)
    alphabet = _NAME if "x-pattern" in node else _TEXT
    return st.text(
        alphabet, min_size=node.get("minLength", 0), max_size=min(node.get("maxLength", 20), 20)
    )


def _integers(node: Document) -> st.SearchStrategy[int]:
    # A float cannot hold the largest times exactly.
    most = int(node.get("maximum", node.get("exclusiveMaximum", 10**18) - 1))
    return st.integers(int(_least(node)), most)


_PLAIN: dict[str, Callable[[Document], st.SearchStrategy[Any]]] = {
    "null": lambda _: st.none(),
    "boolean": lambda _: st.booleans(),
    "integer": _integers,
    "number": _numbers,
    "string": _strings,
}


def _decimal(trillionths: int) -> str:
    sign = "-" if trillionths < 0 else ""
    whole, part = divmod(abs(trillionths), 10**12)
    return f"{sign}{whole}.{part:012d}"


def rfc3339(nanoseconds: int, offset_minutes: int) -> str:
    """The time as text, in a zone so many minutes ahead of UTC."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    zone = timezone(timedelta(minutes=offset_minutes))
    text = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).isoformat()
    return f"{text[:19]}.{fraction:09d}{text[19:]}"


def _arrays(node: Document, root: Document) -> st.SearchStrategy[list[Any]]:
    if "prefixItems" in node:
        return st.tuples(*(_values(one, root) for one in node["prefixItems"])).map(list)
    most = min(node.get("maxItems", 4), 4)
    return st.lists(_values(node["items"], root), min_size=node.get("minItems", 0), max_size=most)


def _fitted(name: str, fields: Document) -> Document:
    """The fields, made to keep the rules that stand between them."""
    match name:
        case "SignalIssued":
            _one_form(fields)
        case "PricesObserved":
            _columns(fields)
        case "RiskModelPublished":
            fields["instruments"] = sorted(set(fields["instruments"]))
            n, k = len(fields["instruments"]), len(fields["factors"])
            fields["loadings"] = _stretched(fields["loadings"], n * k)
            fields["specific"] = [abs(one) for one in _stretched(fields["specific"], n)]
            if fields.get("factor_covariance") is not None:
                fields["factor_covariance"] = _stretched(fields["factor_covariance"], k * k)
        case "PortfolioOpened" | "MandateChanged":
            _mandate(fields.get("mandate", {}))
            _costs(fields.get("costs") or {})
        case "InstrumentListed":
            told = {one["factor"]: one for one in fields.get("factors", ())}
            told.pop("market", None)
            if "factors" in fields:
                fields["factors"] = [told[name] for name in sorted(told)]
        case "ParametersChanged":
            lengths, usual = fields["parameters"], Parameters()
            most = GRACE_PANES_MAX * lengths.get("pane_ms", usual.pane_ms)
            grace = lengths.get("pane_grace_ms", usual.pane_grace_ms)
            lengths["pane_grace_ms"] = min(grace, most)
            modes = fields["parameters"].get("modes", [])
            kept = {preset["mode"]: preset for preset in modes}
            if kept:
                fields["parameters"]["modes"] = [kept[mode] for mode in sorted(kept)]
            _rules(fields["parameters"])
    return fields


def _rules(fields: Document) -> None:
    """Rules of adaptation, and shares of volumes, that can stand beside each other."""
    rules = fields.get("adaptation") or {}
    if rules.get("regime"):
        rows = {row["regime"]: row for row in rules["regime"]["regimes"]}
        rules["regime"]["regimes"] = [{"regime": name} for name in sorted(rows)]
    if rules.get("volatility"):
        rules["volatility"] |= {"sessions": 5, "sessions_long": 9}
    if rules.get("drawdown"):
        rules["drawdown"] |= {"begins": 0.1, "full": 0.3}
    parts = {one["portfolio"]: one for one in fields.get("volume_shares", ())}
    if parts:
        fields["firm_volume_share"] = 1.0
        fields["volume_shares"] = [{"portfolio": name, "share": 0.25} for name in sorted(parts)]


def _costs(fields: Document) -> None:
    for key in ("borrow", "carry"):
        if key in fields:
            made = {one["instrument"]: one for one in fields[key]}
            fields[key] = [made[name] for name in sorted(made)]
    for one in fields.get("borrow", ()):
        one["bps_year"] = abs(one["bps_year"])


def _mandate(fields: Document) -> None:
    for key in ("universe", "sources", "restricted"):
        if key in fields:
            fields[key] = sorted(set(fields[key]))
    entries = {"positions": "instrument", "sectors": "sector", "factors": "factor",
               "must_hold": "instrument", "lots": "instrument",
               "benchmark": "instrument"}  # fmt: skip
    for key, about in entries.items():
        if key in fields:
            made = {one[about]: one for one in fields[key]}
            fields[key] = [made[name] for name in sorted(made)]
    for one in fields.get("benchmark", ()):
        one["weight"] = min(one["weight"], 0.25)
    for key in ("positions", "sectors", "factors"):
        for one in fields.get(key, ()):
            if one.get("min") is None and one.get("max") is None:
                one["max"] = 0.5
    told = Mandate.model_fields
    soft = {}
    for one in fields.get("soft", ()):
        value = fields.get(one["limit"], told[one["limit"]].default)
        if value is not None and value not in ((), []):
            one.pop("about", None)
            soft[one["limit"]] = one
    if "soft" in fields:
        fields["soft"] = [soft[limit] for limit in sorted(soft)]


def _one_form(fields: Document) -> None:
    form = next((name for name in FORMS if fields.get(name) is not None), "expected_return")
    for name in FORMS:
        if name != form:
            fields.pop(name, None)
    fields[form] = 0.5 if fields.get(form) is None else fields[form]
    if form != "direction":
        fields.pop("strength", None)
    fields.pop("rank_of", None)
    if form == "rank":
        fields["rank_of"] = max(fields["rank"], 2)
    if form == "quintiles":
        fields["quintiles"] = [0.5, 0.5, 0.0, 0.0, 0.0]
    if form in ("rank", "target_weight"):
        fields.pop("against", None)
    elif fields.get("against"):
        legs = {leg["instrument"]: leg for leg in fields["against"]}
        legs.pop(fields["instrument"], None)
        fields["against"] = [legs[name] for name in sorted(legs)]


def _columns(fields: Document) -> None:
    fields["instruments"] = sorted(set(fields["instruments"]))
    for key in ("price", "open", "high", "low", "volume"):
        if fields.get(key) is not None:
            fields[key] = _stretched(fields[key], len(fields["instruments"]))
    if fields.get("session_close"):
        fields["kind"] = "bar"


def _stretched(column: list[Any], size: int) -> list[Any]:
    return (list(column) + [1.0] * size)[:size]
