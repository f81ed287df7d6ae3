"""Field-level differences of JSON trees."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from replay.divergence import ABSENT, Difference, Json, differences, differences_of_bytes

TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


def test_each_difference_is_named_by_its_path() -> None:
    recorded: Json = {"a": 1, "b": [1, {"c": "x"}], "gone": None}
    derived: Json = {"a": 1.0, "b": [2, {"c": "y"}, 3], "new": True}
    assert list(differences(recorded, derived)) == [
        Difference("b[0]", 1, 2),
        Difference("b[1].c", "x", "y"),
        Difference("b[2]", ABSENT, 3),
        Difference("gone", None, ABSENT),
        Difference("new", ABSENT, True),
    ]


def test_true_is_not_one() -> None:
    assert list(differences({"a": True}, {"a": 1})) == [Difference("a", True, 1)]


@given(TREES)
def test_a_tree_never_differs_from_itself(tree: Json) -> None:
    assert list(differences(tree, json.loads(json.dumps(tree)))) == []


@given(TREES, TREES)
def test_trees_without_differences_are_equal(left: Json, right: Json) -> None:
    if not list(differences(left, right)):
        assert left == right


def test_bytes_that_are_not_json_differ_as_text() -> None:
    assert differences_of_bytes(b"\xff", b"{}") == (Difference("", "\\xff", "{}"),)
    assert differences_of_bytes(b"\xff", b"\xff") == ()


def test_bytes_that_spell_one_tree_in_two_ways_differ_as_text() -> None:
    assert differences_of_bytes(b'{"a":1}', b'{"a": 1}') == (Difference("", '{"a":1}', '{"a": 1}'),)
