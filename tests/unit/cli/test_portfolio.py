"""`coordinator portfolio` on a recorded run: for people, as JSON, at a moment, refused."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from coordinator.cli import portfolio
from coordinator.log.segments import export
from tests.journals import DAY, HOUR, T0, Input, Inputs, run


def ask(*words: str) -> int:
    parser = argparse.ArgumentParser()
    portfolio.add_parser(parser.add_subparsers())
    args = parser.parse_args(["portfolio", *words])
    return int(args.run(args))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    make = Inputs()
    inputs = [make.rate("EUR/USD", 1.25, T0), make.listed("A", sector="Tech")]
    inputs += [make.listed("E[red]", currency="EUR"), make.opened("p", cash="1000")]
    inputs += [make.prices({"A": 10.0, "E[red]": 4.0}, T0)]
    inputs += [make.fill("p", "A", "5", "10", T0 + HOUR, fee="0.5")]
    inputs += [make.fill("p", "E[red]", "10", "4", T0 + 2 * HOUR)]
    inputs += [make.moved("p", "5", T0 + 3 * HOUR, currency="JPY")]
    path = tmp_path_factory.mktemp("log") / "log"
    export(run(inputs, end=T0 + DAY), path)
    return str(path)


def test_it_shows_money_holdings_gains_and_risk(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("p", "--log", log) == 0
    text = capsys.readouterr().out
    words = ("NAV 999.50 USD", "active", "realised +0.00", "charges -0.50", "E[red]", "EUR",
             "rejected inputs about it: 1", "no exchange rate leads from JPY to USD",
             "-40.00", "sectors: Tech 5.0%, unknown 5.0%", "volatility")  # fmt: skip
    for word in words:
        assert word in text


def test_nothing_is_shown_as_less_than_nought_by_nothing(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("p", "--log", log, "--at", str(T0)) == 0
    text = capsys.readouterr().out
    assert "charges +0.00" in text
    assert "-0.00" not in text


def test_json_has_everything_and_says_where_it_stands(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("p", "--log", log, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["standing"]["view"]["accounts"][1]["cash"] == "-40"
    assert found["standing"]["gains"]["gain"] == "-0.50"
    assert found["position"] > 0
    assert [one["reason"] for one in found["rejected"]["first"]] == ["wrong_currency"]
    assert (found["rejected"]["count"], found["rejected"]["since"]) == (1, 0)


@pytest.mark.parametrize("at", ["2025-10-10T01:30:00Z", str(T0 + HOUR), "6"])
def test_it_is_as_it_was_at_a_position_or_a_time(
    log: str, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("p", "--log", log, "--json", "--at", at) == 0
    view = json.loads(capsys.readouterr().out)["standing"]["view"]
    assert view["fills"] == 1


def test_an_unknown_portfolio_is_told_with_the_known_ones(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("q", "--log", log) == 1
    assert "no portfolio 'q'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--at", "soon"), ("--at", "2025-10-10"), ("--participation",
                                   "0"), ("--participation", "x")])  # fmt: skip
def test_a_wrong_option_is_refused(log: str, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as refused:
        ask("p", "--log", log, *words)
    assert refused.value.code == 2


def test_a_log_that_is_not_there_is_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("p", "--log", str(tmp_path / "none")) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_books_of_strategies_are_shown_with_the_house_and_add_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = Inputs()
    on = make.make("control", "ParametersChanged", T0, parameters={"sleeves": "books"})
    inputs = [on, make.listed("A"), make.registered("[b]s"), make.registered("u")]
    inputs += [make.opened("p", mandate={"position_min": -0.5, "position_max": 0.5})]
    inputs += [make.close({"A": 10.0}, T0)]
    inputs += [make.signal("[b]s", "A", T0 + HOUR, confidence=1.0)]
    inputs += [make.signal("u", "A", T0 + HOUR, direction=-1, confidence=0.5)]
    inputs += [make.prices({"A": 11.0}, T0 + 2 * HOUR)]
    export(run(inputs, end=T0 + DAY), tmp_path / "log")
    assert ask("p", "--log", str(tmp_path / "log")) == 0
    text = capsys.readouterr().out
    for word in ("strategy", "[b]s/[b]s", "u/u", "house", "credit"):
        assert word in text
    assert ask("p", "--log", str(tmp_path / "log"), "--json") == 0
    told = json.loads(capsys.readouterr().out)["standing"]
    own, other, house = told["strategies"]
    assert (own["strategy"], other["strategy"], house["strategy"]) == ("[b]s/[b]s", "u/u", "house")
    assert float(own["gain"]) > 0.0 > float(other["gain"])
    assert float(own["credit"]) == pytest.approx(float(other["credit"]))
    assert own["net"] > 0.0 > other["net"]
    gains = sum(float(one["gain"]) for one in told["strategies"])
    assert gains == pytest.approx(float(told["gains"]["gain"]), abs=0.02)
    assert sum(one["net"] for one in told["strategies"]) == pytest.approx(told["view"]["net"])


@pytest.fixture(scope="module")
def mandated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Opened, changed, refused, changed by nothing; another portfolio between."""
    make = Inputs()

    def changed(at: int, name: str = "p", **mandate: object) -> Input:
        return make.make("portfolios", "MandateChanged", at, portfolio=name, mandate=mandate)

    tech = {"sector": "Tech", "max": 0.3}
    inputs = [make.listed("A", sector="Tech"), make.opened("p", mandate={"gross_max": 0.9})]
    inputs += [make.opened("q"), changed(T0 + HOUR, "q", gross_max=0.1)]
    inputs += [changed(T0 + 2 * HOUR, gross_max=0.7, sectors=[tech, {"sector": "[b]", "min": 0.1}])]
    inputs += [changed(T0 + 3 * HOUR, gross_max=0.1, net_min=0.5)]
    soft = [{"limit": "gross_max", "priority": 2}, {"limit": "must_hold", "priority": 3}]
    must = [{"instrument": "A", "min": 0.2}]
    at = T0 + 4 * HOUR
    inputs += [changed(at, gross_max=0.1, net_min=0.5, sectors=[tech], soft=soft, must_hold=must)]
    path = tmp_path_factory.mktemp("mandated") / "log"
    export(run(inputs, end=T0 + DAY), path)
    return str(path)


def test_the_versions_of_a_mandate_are_told_with_what_each_changed(
    mandated: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("p", "--log", mandated, "--mandates", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    versions = found["versions"]
    assert [one["version"] for one in versions] == [1, 2, 3]
    assert [one["event"] for one in versions] == ["PortfolioOpened"] + ["MandateChanged"] * 2
    assert [(one["journal_time"] - T0) // HOUR for one in versions] == [0, 2, 4]
    assert versions[0]["changes"] == [{"field": "gross_max", "before": None, "after": 0.9}]
    assert [one["field"] for one in versions[1]["changes"]] == ["gross_max", "sectors"]
    assert (found["since"], found["strangers"]) == (0, [])
    both = [found["conflicts"], *found["further"]]  # of each the second is soft
    assert sorted(both) == [
        ["net_min 0.5", "gross_max 0.1"],
        ["position_max 0.1", "must_hold A min 0.2"],
    ]


def test_versions_are_shown_for_people_up_to_a_moment(
    mandated: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("p", "--log", mandated, "--mandates") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "gross_max 0.9 -> 0.7" in text
    assert "-(sector [b] min 0.1)" in text
    assert "cannot all hold, so the soft ones among them give way: " in text
    assert "nor can: " in text
    assert "net_min 0.5, gross_max 0.1" in text
    assert ask("p", "--log", mandated, "--mandates", "--at", str(T0 + 2 * HOUR)) == 0
    early = " ".join(capsys.readouterr().out.split())
    assert "+(sector Tech max 0.3) +(sector [b] min 0.1)" in early
    assert "nothing of that name is listed: sectors [b]" in early
    assert "0.1 MandateChanged" not in early
    assert ask("x", "--log", mandated, "--mandates") == 1
    assert "no portfolio 'x'" in capsys.readouterr().err


def test_it_shows_how_old_and_how_sound_the_risk_model_is_and_its_bias(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p", cash="1000")]
    inputs += [make.close({"A": 10.0 + n % 3}, T0 + n * DAY) for n in range(30)]
    inputs.insert(3, make.fill("p", "A", "50", "10", T0 + HOUR))
    model = {"name": "m[red]", "instruments": ["A"], "factors": ["f"], "loadings": [0.01],
             "specific": [1e-4]}  # fmt: skip
    inputs.append(make.make("market", "RiskModelPublished", T0 + 29 * DAY + HOUR, **model))
    export(run(inputs, end=T0 + 30 * DAY), tmp_path / "log")
    assert ask("p", "--log", str(tmp_path / "log")) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "risk model blended: newest return 0 sessions old, 30 sessions in the window" in text
    assert "shrinkage 66.7% condition 1" in text
    assert "published risk model m[red]: 0 sessions old, used, speaks of 1 of 1 held" in text
    assert "risk bias" in text
    assert "28 sessions)" in text
    assert ask("p", "--log", str(tmp_path / "log"), "--json") == 0
    found = json.loads(capsys.readouterr().out)["standing"]["model"]
    assert (found["age"], found["published"]["used"], found["bias"]["count"]) == (0, True, 28)


def test_multipliers_in_force_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make = Inputs()
    parameters = {"adaptation": {"drawdown": {"begins": 0.0, "full": 0.1, "turnover": 0.5}}}
    inputs = [make.make("control", "ParametersChanged", T0, parameters=parameters)]
    inputs += [make.listed("A"), make.opened("p", cash="1000")]
    inputs += [make.fill("p", "A", "100", "10", T0), make.close({"A": 10.0}, T0)]
    inputs += [make.close({"A": 8.0}, T0 + HOUR)]
    export(run(inputs, end=T0 + DAY), tmp_path / "log")
    assert ask("p", "--log", str(tmp_path / "log")) == 0
    told = capsys.readouterr().out
    assert "multipliers in force: drawdown/budgets x0.5, drawdown/risk_aversion x3" in told
    assert ask("p", "--log", str(tmp_path / "log"), "--json") == 0
    moved = json.loads(capsys.readouterr().out)["standing"]["moved"]
    assert moved[-1] == ["drawdown/turnover", 0.5]
