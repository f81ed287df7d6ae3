"""Whether a reader with the new schema understands everything a writer with the old one wrote.

Place in the flow: `schemas.publication` asks it before a schema is replaced. It compares the JSON
Schemas that we make (draft 2020-12); what it does not know it reports, so it errs on the side of
caution. Rules between fields (validators of a model) are not in a schema: loosening them is fine,
tightening them is a new version.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from schemas.export import Document

__all__ = ["compare"]

_ANNOTATIONS = {
    "$defs",
    "$id",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "title",
    "version",
    "x-origin",
    "x-topic",
}
_LOWER = ("minLength", "minItems", "minProperties", "x-minimum")
_UPPER = ("maxLength", "maxItems", "maxProperties", "x-maximum")
_EXACT = ("pattern", "x-pattern", "format", "uniqueItems", "multipleOf")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_SHAPES = (
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "enum",
    "items",
    "oneOf",
    "prefixItems",
    "properties",
    "required",
    "type",
)
_KNOWN = _ANNOTATIONS.union(_LOWER, _UPPER, _EXACT, _BOUNDS, _SHAPES)


def compare(old: Document, new: Document) -> list[str]:
    """What an old writer may have written and a new reader would refuse, one line each.

    old, new: whole schemas, each with its own $defs.
    """
    return list(_Comparison(old, new).nodes(old, new, "event", ()))


class _Comparison:
    """Walks two schemas side by side, each reference resolved in its own."""

    def __init__(self, old: Document, new: Document) -> None:
        self._old = old
        self._new = new

    def nodes(self, old: Any, new: Any, path: str, above: tuple[Any, ...]) -> Iterator[str]:
        """Problems at path and below. above: pairs being compared already, to end recursion."""
        if old is False or new is True or new == {}:
            return
        if new is False:
            yield f"{path}: nothing is accepted any more"
            return
        olds = list(_branches({} if old is True else old, self._old))
        news = list(_branches(new, self._new))
        for branch in olds:
            yield from self._branch(branch, news, path, above, alone=len(olds) == 1)

    def _branch(
        self, old: Document, news: list[Document], path: str, above: tuple[Any, ...], *, alone: bool
    ) -> Iterator[str]:
        """Problems of one alternative of the old schema: none when one of the new accepts it."""
        found = [list(self._plain(old, new, path, above)) for new in news]
        if any(not problems for problems in found):
            return
        kin = [problems for new, problems in zip(news, found, strict=True) if _kin(old, new)]
        if len(kin) == 1:
            yield from kin[0]
        elif alone and len(found) == 1:
            yield from found[0]
        else:
            yield f"{path}: {_named(old)} is no alternative any more"

    def _plain(
        self, old: Document, new: Document, path: str, above: tuple[Any, ...]
    ) -> Iterator[str]:
        """Problems between two schemas that are neither references nor unions."""
        pair = (repr(old), repr(new))
        if pair in above:
            return
        above = (*above, pair)
        if differ := list(_types(old, new, path)):
            yield from differ
            return
        yield from _values(old, new, path)
        yield from _limits(old, new, path)
        yield from _unknown(old, new, path)
        if "object" in (old.get("type", "object"), new.get("type")):
            yield from self._objects(old, new, path, above)
        if "array" in (old.get("type", "array"), new.get("type")):
            yield from self._arrays(old, new, path, above)

    def _objects(
        self, old: Document, new: Document, path: str, above: tuple[Any, ...]
    ) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
            what = "optional before" if name in before else "new"
            yield f"{path}.{name}: required, and {what}"
        rest_before = old.get("additionalProperties", True)
        rest_after = new.get("additionalProperties", True)
        for name in sorted(before):
            yield from self.nodes(
                before[name], after.get(name, rest_after), f"{path}.{name}", above
            )
        for name in sorted(set(after) - set(before)):
            # A writer of an open schema invents no fields; one of a map may use any name.
            if isinstance(rest_before, dict):
                yield from self.nodes(rest_before, after[name], f"{path}.{name}", above)
        if rest_after is not True and rest_before is not False:
            yield from self.nodes(rest_before, rest_after, f"{path}.*", above)

    def _arrays(
        self, old: Document, new: Document, path: str, above: tuple[Any, ...]
    ) -> Iterator[str]:
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        rest_before, rest_after = old.get("items", True), new.get("items", True)
        longest = old.get("maxItems")
        reach = max(len(before), len(after))
        for at in range(reach if longest is None else min(reach, longest)):
            item_before = before[at] if at < len(before) else rest_before
            item_after = after[at] if at < len(after) else rest_after
            yield from self.nodes(item_before, item_after, f"{path}[{at}]", above)
        if longest is None or longest > reach:
            yield from self.nodes(rest_before, rest_after, f"{path}[]", above)


def _branches(node: Document, root: Document) -> Iterator[Document]:
    """The alternatives of a node, references resolved; siblings of a union hold for each."""
    if "$ref" in node:
        target: Any = root
        for part in node["$ref"].removeprefix("#").strip("/").split("/"):
            target = target[part] if part else target
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        yield from _branches({**target, **siblings}, root)
        return
    for union in ("anyOf", "oneOf"):
        if union in node:
            siblings = {key: value for key, value in node.items() if key != union}
            for branch in node[union]:
                yield from _branches({**siblings, **branch}, root)
            return
    if isinstance(node.get("type"), list):
        for kind in node["type"]:
            yield {**node, "type": kind}
        return
    yield node


def _kin(old: Document, new: Document) -> bool:
    """Whether the one is likely what became of the other."""
    return old.get("type") == new.get("type") and old.get("title") == new.get("title")


def _named(node: Document) -> str:
    return str(node.get("title") or node.get("type") or "anything")


def _types(old: Document, new: Document, path: str) -> Iterator[str]:
    before, after = old.get("type"), new.get("type")
    if after is None or before == after or (before, after) == ("integer", "number"):
        return
    yield f"{path}: type {before or 'any'} became {after}"


def _values(old: Document, new: Document, path: str) -> Iterator[str]:
    after = _listed(new)
    if after is None:
        return
    before = _listed(old)
    if before is None:
        yield f"{path}: any value became one of {after}"
        return
    # JSON tells 1 from true; Python does not.
    gone = [value for value in before if repr(value) not in {repr(kept) for kept in after}]
    if gone:
        yield f"{path}: values removed: {gone}"


def _listed(node: Document) -> list[Any] | None:
    if "const" in node:
        return [node["const"]]
    return node.get("enum")


def _limits(old: Document, new: Document, path: str) -> Iterator[str]:
    """Bounds, lengths and patterns that refuse more than before."""
    for key in (*_LOWER, *_UPPER):
        before, after = old.get(key), new.get(key)
        if after is not None and (before is None or _tighter(key, before, after)):
            yield f"{path}: {key} {_was(before)}, now {after}"
    for side, sign in (("inimum", 1), ("aximum", -1)):
        before, after = _bound(old, side, sign), _bound(new, side, sign)
        if after is not None and (before is None or after > before):
            yield f"{path}: m{side} {_was(_shown(old, side))}, now {_shown(new, side)}"
    for key in _EXACT:
        after = new.get(key)
        if after not in (None, False, old.get(key)):
            yield f"{path}: {key} {_was(old.get(key))}, now {after}"


def _tighter(key: str, before: Any, after: Any) -> bool:
    low, high = Decimal(str(before)), Decimal(str(after))
    return high > low if key in _LOWER else high < low


def _bound(node: Document, side: str, sign: int) -> tuple[Decimal, int] | None:
    """The tightest bound of one side; larger is tighter, and exclusive than its equal."""
    inclusive, exclusive = node.get(f"m{side}"), node.get(f"exclusiveM{side}")
    found = [
        (sign * Decimal(str(value)), strict)
        for strict, value in enumerate((inclusive, exclusive))
        if value is not None
    ]
    return max(found, default=None)


def _shown(node: Document, side: str) -> Any:
    return node.get(f"m{side}", node.get(f"exclusiveM{side}"))


def _was(value: Any) -> str:
    return "was not set" if value is None else f"was {value}"


def _unknown(old: Document, new: Document, path: str) -> Iterator[str]:
    for key in sorted(set(new) - _KNOWN):
        if new[key] != old.get(key):
            yield f"{path}: {key} changed, which cannot be compared"
