"""Views: live from when they are heard to the very moment that ends them, whatever the form."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from schemas.decisions import RoundClosed
from schemas.signals import FORMS
from schemas.verdicts import RecordQuarantined, SignalExpired
from tests.journals import DAY, HOUR, T0, Input, Inputs, events_of, law, run, state_after

NAMES = "ABC"
DAYS = 5
FORM: dict[str, dict[str, Any]] = {
    "direction": {"direction": 1},
    "expected_return": {"expected_return": 0.02},
    "target_weight": {"target_weight": 0.1},
    "rank": {"rank": 2, "rank_of": 3},
    "probability_up": {"probability_up": 0.6},
    "quintiles": {"quintiles": [0.1, 0.1, 0.2, 0.2, 0.4]},
}


class Said(NamedTuple):
    """A signal: hours from the beginning; expires: hours after it was said, None for never."""

    hour: int
    name: str
    form: str
    horizon: float
    expires: int | None

    @property
    def at(self) -> int:
        """When, ns: between two full hours, at which sessions close."""
        return T0 + self.hour * HOUR + HOUR // 2

    @property
    def expires_at(self) -> int | None:
        return None if self.expires is None else self.at + self.expires * HOUR


signals = st.lists(
    st.builds(
        Said,
        hour=st.integers(13, 24 * DAYS - 1),
        name=st.sampled_from(NAMES),
        form=st.sampled_from(FORMS),
        horizon=st.sampled_from([0.5, 1.0, 1.5, 3.0, 20.0]),
        expires=st.none() | st.integers(1, 60),
    ),
    max_size=12,
    unique_by=lambda one: one.hour,
).map(sorted)


def inputs_of(said: list[Said]) -> list[Input]:
    """The inputs in their order, with a close at noon of every day."""
    make = Inputs()
    made = [*map(make.listed, NAMES), make.registered("s"), make.opened("p")]
    plan: list[tuple[int, Said | None]] = [(one.at, one) for one in said]
    plan += [(T0 + day * DAY + 12 * HOUR, None) for day in range(DAYS)]
    for at, one in sorted(plan, key=lambda item: item[0]):
        if one is None:
            made.append(make.close(dict.fromkeys(NAMES, 10.0 + at % 7), at))
            continue
        legs = {} if one.form in ("rank", "target_weight") or one.name == "A" else {
            "against": [{"instrument": "A"}]
        }  # fmt: skip
        fields = FORM[one.form] | legs | {"strength": None, "expires_at": one.expires_at}
        made.append(make.signal("s", one.name, at, horizon_sessions=one.horizon, **fields))
    return made


def closes(until: int) -> int:
    """Sessions closed before a time."""
    return sum(T0 + day * DAY + 12 * HOUR < until for day in range(DAYS))


def is_over(one: Said, now: int) -> bool:
    """By what a signal states: its expiry, or as many closes after the first as it looks ahead."""
    expired = one.expires_at is not None and one.expires_at < now
    begun = closes(one.at) + 1
    return expired or closes(now) >= math.ceil(begun + one.horizon)


def live(said: list[Said], now: int) -> set[tuple[str, int]]:
    """(name, hour) of the last word on each name, where it is not over."""
    last = {one.name: one for one in said if one.at < now}
    return {(one.name, one.hour) for one in last.values() if not is_over(one, now)}


@law(40)
@given(said=signals, hour=st.integers(14, 24 * DAYS))
def test_the_live_views_of_any_moment_are_those_that_their_own_words_make_live(
    said: list[Said], hour: int
) -> None:
    now = T0 + hour * HOUR + HOUR // 4  # at no signal, close or expiry
    made = [one for one in inputs_of([one for one in said if one.at < now]) if one.at < now]
    state = state_after(made, end=now)
    found = {(v.instrument, (v.event_time - T0) // HOUR) for v in state.views.values()}
    assert found == live(said, now)


@law(15)
@given(said=signals)
def test_a_round_uses_only_views_that_are_live_and_every_end_is_told_once_at_its_time(
    said: list[Said],
) -> None:
    log = run(inputs_of(said), end=T0 + DAYS * DAY)
    assert events_of(log, RecordQuarantined) == []
    by_name = {f"s/signals-1-{i}": one for i, one in enumerate(said)}
    for closed in events_of(log, RoundClosed):
        for name in (*closed.signals_used, *closed.signals_dropped):
            assert not is_over(by_name[name], closed.decided_at), name
    told = [one for one in events_of(log, SignalExpired) if one.reason == "time"]
    assert len({one.signal_id for one in told}) == len(told)
    for one in told:
        assert not is_over(by_name[f"s/{one.signal_id}"], one.expired_at)
        assert is_over(by_name[f"s/{one.signal_id}"], one.expired_at + 1)
