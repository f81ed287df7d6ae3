"""The firm's share of volumes: parts of it, what is used of them, and what a decision may add."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from coordinator.core.allocate import Situation, situation
from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.firm import FIRM_SHARE, firm_remarks, share_of
from coordinator.core.state import OpenTrade, State
from coordinator.learning import ChosenRisk
from schemas.control import Parameters, VolumeShare
from schemas.decisions import AllocationDecided
from schemas.portfolios import Mandate
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run, state_after
from tests.unit.core.books import portfolio
from tests.unit.core.planted import feed

VOLUME = 1_000.0
PARTS = ({"portfolio": "p", "share": 0.1}, {"portfolio": "q", "share": 0.05})


def shares(**parts: float) -> Parameters:
    return Parameters(
        firm_volume_share=1.0,
        volume_shares=tuple(VolumeShare(portfolio=n, share=s) for n, s in sorted(parts.items())),
    )


def test_the_smaller_of_part_and_mandate_counts_and_nothing_without_a_part() -> None:
    one = portfolio()
    assert share_of(Parameters(), one) is None
    assert share_of(shares(p=0.1), one) == 0.1
    assert share_of(shares(a=0.1, z=0.1), one) == 0.0
    assert share_of(shares(), one) == 0.0
    one.mandate = Mandate(volume_share_max=0.02)
    assert share_of(shares(p=0.1), one) == 0.02
    assert share_of(shares(p=0.01), one) == 0.01
    assert share_of(Parameters(), one) is None


def world(make: Inputs, *, firm: float | None = 0.2, **listed: Any) -> list[Input]:
    """Two portfolios with a part each and one without, all of which hear the same source."""
    parameters = {} if firm is None else {"firm_volume_share": firm, "volume_shares": PARTS}
    return [
        make.listed("A", **listed), make.listed("B"), make.registered("s"),
        make.make("control", "ParametersChanged", T0, parameters=parameters),
        *(make.opened(name, mandate={"turnover_max": 1.0, "position_max": 1.0}) for name in "pqr"),
        traded(make, T0),
    ]  # fmt: skip


def traded(make: Inputs, at: int, volume: float = VOLUME) -> Input:
    """A close of A with a volume, and of B, of which no volume is known."""
    return make.prices({"A": 10.0, "B": 10.0}, at, kind="bar", volume=[volume, None],
                       session_close=True)  # fmt: skip


def of(state: State, name: str = "p") -> Situation:
    found = situation(state, state.portfolios[name], ChosenRisk())
    assert found is not None
    return found


def left(state: State, name: str = "p") -> float:
    """Units of A that a decision may still trade."""
    found = of(state, name)
    i = found.problem.instruments.index("A")
    return float(found.problem.trade_max[i] / found.unit[i])


def heard(make: Inputs, at: int = T0 + HOUR) -> list[Input]:
    return [make.signal("s", "A", at), make.signal("s", "B", at)]


def test_what_is_open_and_what_filled_in_the_session_is_used_either_way() -> None:
    make = Inputs()
    state = state_after([*world(make), *heard(make)])
    state.portfolios["p"].open_trades = {}
    assert left(state) == pytest.approx(100.0)
    state.portfolios["p"].open_trades = {
        "1": OpenTrade("1", "p:1", "A", Decimal(30)), "2": OpenTrade("2", "p:1", "A", Decimal(-20)),
    }  # fmt: skip
    assert left(state) == pytest.approx(50.0)
    feed(state, make.fill("p", "A", "-25", "10", T0 + 2 * HOUR))  # somebody else's order
    assert left(state) == pytest.approx(25.0)
    feed(state, make.fill("p", "A", "10", "10", T0 + 2 * HOUR, trade_id="1", partly=True))
    assert left(state) == pytest.approx(25.0)  # used is used, filled or not
    feed(state, make.fill("p", "A", "40", "10", T0 + 2 * HOUR))
    assert left(state) == 0.0
    state.portfolios["q"].open_trades = {}
    assert left(state, "q") == pytest.approx(50.0)  # its own part is its own


def test_a_fill_counts_in_its_own_session_whichever_of_it_and_the_close_is_heard_first() -> None:
    for first in (True, False):
        make = Inputs()
        start, close = [*world(make), *heard(make)], traded(make, T0 + DAY)
        fill = make.fill("p", "A", "60", "10", T0 + DAY)
        state = state_after([*start, *((fill, close) if first else (close, fill))])
        state.portfolios["p"].open_trades = {}
        assert left(state) == pytest.approx(100.0), first
        feed(state, make.fill("p", "A", "60", "10", T0 + DAY + 1))
        assert left(state) == pytest.approx(40.0)
        feed(state, make.fill("p", "A", "5", "10", T0 + HOUR))  # told late
        assert left(state) == pytest.approx(40.0)


def test_a_split_puts_what_filled_in_new_units() -> None:
    make = Inputs()
    inputs = [*world(make), *heard(make), make.fill("p", "A", "40", "10", T0 + 2 * HOUR)]
    inputs.append(make.action("A", "split", T0 + 3 * HOUR, ratio="3"))
    state = state_after(inputs, end=T0 + 4 * HOUR)
    state.portfolios["p"].open_trades = {}
    assert left(state) == pytest.approx(3 * 60.0)


def test_what_has_no_known_volume_may_fall_and_not_grow() -> None:
    make = Inputs()
    start = [*world(make), make.fill("p", "B", "7", "10", T0 + 1), *heard(make)]
    found = of(state_after(start))
    i = found.problem.instruments.index("B")
    assert found.problem.position_max[i] == pytest.approx(7 * found.unit[i])
    assert found.boxes.upper_by[i] == FIRM_SHARE
    assert found.problem.trade_max[i] > 7 * found.unit[i]


def test_who_has_no_part_trades_nothing_and_says_why() -> None:
    make = Inputs()
    log = run([*world(make), *heard(make)], end=T0 + 2 * HOUR)
    decided = {one.portfolio: one for one in events_of(log, AllocationDecided)}
    assert decided["p"].trades
    assert decided["q"].trades
    assert decided["r"].trades == ()
    assert decided["r"].solver.remarks[-1] == (
        "firm_volume_share: no entry in volume_shares, so nothing is traded"
    )
    assert not any(FIRM_SHARE in remark for remark in decided["p"].solver.remarks)
    state = state_after([*world(Inputs()), *heard(make)])
    assert firm_remarks(state, state.portfolios["p"]) == ()


def test_a_limit_by_that_name_is_told_where_it_binds() -> None:
    make = Inputs()
    log = run([*world(make), *heard(make)], end=T0 + 2 * HOUR)
    (decision,) = (one for one in events_of(log, AllocationDecided) if one.portfolio == "p")
    told = {one.instrument: one for one in decision.limits if one.limit == FIRM_SHARE}["A"]
    assert told.bound == pytest.approx(0.1 * VOLUME * 10.0 / 1e6)
    (trade,) = (one for one in decision.trades if one.instrument == "A")
    assert trade.quantity in (99, 100)  # the last lot is within the solver's tolerance


def test_without_a_firms_share_nothing_is_counted_and_the_state_is_as_before() -> None:
    make = Inputs()
    fill = make.fill("p", "A", "40", "10", T0 + SECOND)
    state = state_after([*world(make, firm=None), *heard(make), fill])
    assert state.portfolios["p"].dealt == {}
    assert left(state) > VOLUME


def test_what_was_dealt_is_part_of_a_checkpoint() -> None:
    make = Inputs()
    fill = make.fill("p", "A", "40", "10", T0 + 2 * HOUR)
    state = state_after([*world(make), *heard(make), fill])
    again = decode_state(encode_state(state)).portfolios["p"]
    assert (again.dealt, again.dealt_in) == ({"A": Decimal(40)}, 2)
