"""The move behind each multiplier of a decision, from logs of one shard and of several."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from coordinator.cli import explain
from coordinator.quality.moved import Moved
from coordinator.quality.reasons import explain_decision
from schemas.verdicts import ParametersAdapted
from tests.journals import DAY, HOUR, T0, Inputs, run
from tests.unit.core.test_tilt import REGIMES, declared, world
from tests.unit.replay.planted import allocation, closed, output_log

HOSTILE = "[bold red]x[/]\x1b[31m"


def move(after: float, at: int, **fields: Any) -> ParametersAdapted:
    terms = {"name": "risk_aversion", "portfolio": "p", "cause": "drawdown", "rule": f"at {at}"}
    return ParametersAdapted(decided_at=at, before=1.0, after=after, **(terms | fields))


def test_the_last_move_before_the_decision_is_told() -> None:
    decision = allocation().model_copy(update={"tilt": (("drawdown/risk_aversion", 2.0),)})
    log = output_log(
        move(1.5, 10), move(2.0, 20), move(3.0, 30, portfolio="q"), decision, closed(),
        move(2.5, 200),
    )  # fmt: skip
    [told] = explain_decision(log, "p:1").moved
    name = "drawdown/risk_aversion"
    assert told == Moved(name=name, multiplier=2.0, rule="at 20", since=20)


def test_a_strategys_move_belongs_to_all_who_hear_it() -> None:
    fields = {"portfolio": None, "name": "strategy", "cause": "signal_quality", "source": "s"}
    decision = allocation().model_copy(update={"tilt": (("signal_quality/s/t", 0.5),)})
    log = output_log(move(0.5, 20, **fields, strategy="t"), decision, closed())
    assert [one.rule for one in explain_decision(log, "p:1").moved] == ["at 20"]


def test_a_move_that_the_log_does_not_hold_is_not_made_up() -> None:
    decision = allocation().model_copy(update={"tilt": (("drawdown/risk_aversion", 2.0),)})
    [told] = explain_decision(output_log(move(1.5, 10), decision, closed()), "p:1").moved
    assert (told.rule, told.since) == (None, None)
    assert explain_decision(output_log(allocation(), closed()), "p:1").moved == ()


def test_a_screen_shows_multiplier_and_rule_and_escapes_names() -> None:
    decision = allocation().model_copy(update={"tilt": (("drawdown/risk_aversion", 2.0),)})
    log = output_log(move(2.0, 20, rule=HOSTILE), decision, closed())
    screen = Console(file=StringIO(), width=160, color_system=None)
    with screen.capture() as capture:
        explain.render(explain_decision(log, "p:1"), screen)
    assert "moved drawdown/risk_aversion x2 since" in capture.get()
    assert "[bold red]x[/]" in capture.get()
    assert "\x1b" not in capture.get()


def test_a_decision_of_a_real_run_names_the_regime_behind_it() -> None:
    make = Inputs()
    log = run([*world(make, REGIMES), declared(make, T0 + HOUR)], end=T0 + DAY)
    told = {one.name: one.rule for one in explain_decision(log, "p:1").moved}
    words = "regime crisis, declared with probability 0.9"
    assert told == {f"regime/{name}": words for name in ("budgets", "risk_aversion", "turnover")}
