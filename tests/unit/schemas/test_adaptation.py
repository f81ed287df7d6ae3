"""Rules of adaptation and shares of volumes that contradict themselves are refused, and say why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.adaptation import Adaptation
from schemas.control import Parameters


def refused(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Parameters.model_validate_json(json.dumps(fields))
    return str(caught.value)


def test_nothing_moves_and_no_share_is_stated_unless_somebody_does() -> None:
    assert Parameters().adaptation == Adaptation()
    assert Parameters().adaptation.is_off
    assert Parameters().firm_volume_share is None


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"volatility": {"sessions": 20, "sessions_long": 20}}, "must be more than sessions"),
        ({"volatility": {"least": 1.5}}, "less than or equal to 1"),
        ({"volatility": {"most": 0.5}}, "greater than or equal to 1"),
        ({"volatility": {"step": 0.0}}, "greater than or equal to 0.01"),
        ({"drawdown": {"begins": 0.2, "full": 0.2}}, "full must be more than begins"),
        ({"drawdown": {"turnover": 1.5}}, "less than or equal to 1"),
        ({"drawdown": {"risk_aversion": 0.5}}, "greater than or equal to 1"),
        ({"regime": {"regimes": []}}, "at least 1"),
        ({"regime": {"regimes": [{"regime": "b"}, {"regime": "a"}]}}, "sorted by name"),
        ({"regime": {"regimes": [{"regime": "a"}, {"regime": "a"}]}}, "unique"),
        ({"regime": {"regimes": [{"regime": "a", "turnover": 2.0}]}}, "less than or equal to 1"),
        (
            {"regime": {"regimes": [{"regime": "a", "probability_keep": 0.6}]}},
            "at most probability_min",
        ),
        ({"signal_quality": {"least": -0.1}}, "greater than or equal to 0"),
        ({"signal_quality": {"most": 11}}, "less than or equal to 10"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(rule: dict[str, Any], why: str) -> None:
    assert why in refused(adaptation=rule)


def shares(*parts: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"portfolio": name, "share": share} for name, share in parts]


def test_shares_are_checked_as_a_whole() -> None:
    over = refused(firm_volume_share=0.1, volume_shares=shares(("a", 0.06), ("b", 0.05)))
    assert "volume_shares are 0.11 together, above firm_volume_share" in over
    assert "state it" in refused(volume_shares=shares(("a", 0.1)))
    both = shares(("b", 0.01), ("a", 0.01))
    assert "sorted by portfolio" in refused(firm_volume_share=0.1, volume_shares=both)
    assert "unique" in refused(firm_volume_share=0.1, volume_shares=[both[0]] * 2)
    assert "greater than 0" in refused(firm_volume_share=0.1, volume_shares=shares(("a", 0.0)))


def test_three_tenths_are_three_times_a_tenth() -> None:
    parts = shares(("a", 0.1), ("b", 0.1), ("c", 0.1))
    assert sum(one["share"] for one in parts) > 0.3  # as floats add up
    told = Parameters.model_validate_json(
        json.dumps({"firm_volume_share": 0.3, "volume_shares": parts})
    )
    assert [one.portfolio for one in told.volume_shares] == ["a", "b", "c"]
