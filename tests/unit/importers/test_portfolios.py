from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from coordinator.importers.errors import ImportFailed
from coordinator.importers.portfolios import Book, load_book
from schemas.control import ParametersChanged, SourceRegistered
from schemas.portfolios import PortfolioOpened, ReportPolicy

HEAD = '[[portfolio]]\nid = "a"\ncash = "10"\ncurrency = "USD"\n'


def load(tmp_path: Path, text: str, currency: str | None = None) -> Book:
    path = tmp_path / "book.toml"
    path.write_text(text, encoding="utf-8")
    return load_book(path, currency=currency)


def test_a_portfolio_has_all_fields_of_the_language(tmp_path: Path) -> None:
    text = (
        HEAD
        + """mode = "aggressive"
[portfolio.mandate]
universe = ["BBB", "AAA", "AAA"]
position_min = -0.1
[portfolio.schedule]
kind = "session_close"
every = 5
[portfolio.costs]
fee_bps = 3
"""
    )
    (one,) = load(tmp_path, text).portfolios
    assert (one.portfolio, one.cash, one.mode) == ("a", Decimal(10), "aggressive")
    assert one.mandate.universe == ("AAA", "BBB")
    assert (one.mandate.position_min, one.schedule.every, one.costs.fee_bps) == (-0.1, 5, 3.0)


@pytest.mark.parametrize("policy", get_args(ReportPolicy))
def test_a_portfolio_says_what_a_report_that_differs_leads_to(
    tmp_path: Path, policy: ReportPolicy
) -> None:
    book = load(tmp_path, HEAD + f'reports = "{policy}"\n')
    assert [one.reports for one in book.portfolios] == [policy]
    (message,) = book.portfolio_messages(opened_at=7)
    assert PortfolioOpened.model_validate_json(message.payload).reports == policy
    assert [one.reports for one in load(tmp_path, HEAD).portfolios] == ["stop"]


def test_names_of_rows_open_portfolios_only_where_there_is_no_file(tmp_path: Path) -> None:
    first_named = {"b": 7, "a": 9}
    book = load(tmp_path, HEAD)
    assert book.opening(first_named, currency="EUR") == book
    assert book.named == ()
    opened = Book.without_file().opening(first_named, currency="EUR")
    assert opened.named == ("b", "a")
    seen = [
        (one.known_at, PortfolioOpened.model_validate_json(one.payload))
        for one in opened.portfolio_messages(opened_at=5)
    ]
    assert [(at, one.event_time, one.portfolio, one.currency, one.cash) for at, one in seen] == [
        (7, 7, "b", "EUR", Decimal(0)),
        (9, 9, "a", "EUR", Decimal(0)),
    ]


def test_cash_is_text_or_a_whole_number_and_currency_may_come_from_outside(tmp_path: Path) -> None:
    (one,) = load(tmp_path, '[[portfolio]]\nid = "a"\ncash = 10\n', currency="EUR").portfolios
    assert (one.cash, one.currency) == (Decimal(10), "EUR")


def test_parameters_are_written_out_whole_with_what_was_changed(tmp_path: Path) -> None:
    text = HEAD + '[parameters]\nskill_prior = 0.1\n[[parameters.modes]]\nmode = "balanced"\n'
    book = load(tmp_path, text + "risk_aversion = 4.0\n")
    (first,), sources = book.control_messages(opened_at=7), book.source_messages({"s": 9})
    changed = ParametersChanged.model_validate_json(first.payload)
    assert changed.parameters.skill_prior == 0.1
    assert [mode.risk_aversion for mode in changed.parameters.modes] == [4.0]
    assert b"lateness_ms_max" in first.payload
    assert [SourceRegistered.model_validate_json(s.payload).kind for s in sources] == ["imported"]


def test_sources_of_the_file_keep_their_terms_and_others_are_registered(tmp_path: Path) -> None:
    book = load(tmp_path, HEAD + '[[source]]\nsource = "b"\nhorizon_sessions = 9.0\n')
    _, *messages = book.control_messages(opened_at=7)
    messages += book.source_messages({"a": 9, "b": 8, "c": 8})
    seen = [SourceRegistered.model_validate_json(item.payload) for item in messages]
    assert [(s.source, s.kind, s.horizon_sessions, s.event_time) for s in seen] == [
        ("b", "other", 9.0, 7),
        ("c", "imported", 5.0, 8),
        ("a", "imported", 5.0, 9),
    ]
    assert len({s.event_id for s in seen}) == 3
    assert book.unregistered(["a", "b"]) == ("a",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no portfolio"),
        ("portfolio = 3", "no list of tables"),
        ("not toml", "no readable TOML"),
        (HEAD + "colour = 1", "unknown key 'colour'"),
        (HEAD + "[portfolio.mandate]\nposition_mx = 0.1", "unknown key 'position_mx'"),
        (HEAD + "[portfolio.costs]\nfee = 1", "unknown key 'fee'"),
        (HEAD + "[portfolio.schedule]\nevry = 1", "unknown key 'evry'"),
        (HEAD + "[parameters]\nskil_prior = 1", "unknown key 'skil_prior'"),
        (HEAD + "[[parameters.modes]]\nmod = 1", "unknown key 'mod'"),
        (
            HEAD + "[parameters.adaptation.drawdown]\nbegin = 0.1",
            r"\[parameters.adaptation.drawdown\]: unknown key 'begin'; did you mean begins\?",
        ),
        (HEAD + "[parameters.adaptation.volatilty]\nstep = 1", "did you mean volatility"),
        (
            HEAD + '[[parameters.adaptation.regime.regimes]]\nregime = "a"\nturnovr = 0.5',
            r"\[\[parameters.adaptation.regime.regimes\]\] 1: unknown key 'turnovr'",
        ),
        (HEAD + "[parameters.quality_weights]\npayof = 1", "did you mean payoff"),
        (HEAD + "[parameters.priority_weights]\nurgncy = 1", "unknown key 'urgncy'"),
        (
            HEAD + "[[parameters.volume_shares]]\nportfolo = 'a'",
            "unknown key 'portfolo'; did you mean portfolio",
        ),
        (HEAD + "[parameters]\nadaptation = 3", "adaptation"),
        (
            HEAD + "[portfolio.mandate]\nbenchmark = { A = 0.5 }",
            r"write \[\[portfolio.mandate.benchmark\]\]",
        ),
        (HEAD + '[[source]]\nname = "x"', "unknown key 'name'"),
        (HEAD + "[portfolios]\nx = 1", "unknown key 'portfolios'"),
        (HEAD + "mandate = 3", "no table"),
        (HEAD + 'mode = "reckless"', "unknown mode 'reckless'"),
        (
            HEAD + 'reports = "believe"',
            "reports: 'believe' is none of those that there are; use 'stop', 'trust_report'",
        ),
        (HEAD + HEAD, "'a' stands there twice"),
        (HEAD + '[[source]]\nsource = "x"\n[[source]]\nsource = "x"', "'x' stands there twice"),
        (HEAD + "[portfolio.mandate]\nposition_max = -1", "position_max"),
        (HEAD + "[portfolio.mandate]\nposition_max = nan", "of no use"),
        (HEAD + "[portfolio.mandate]\nuniverse = [1]", "universe"),
        (HEAD + "mode = 2025-01-01", "of no use"),
        ('[[portfolio]]\nid = "a"\ncash = 10.5\ncurrency = "USD"', "cash"),
        ('[[portfolio]]\nid = "a"\ncash = "-1"\ncurrency = "USD"', "cash"),
        ('[[portfolio]]\nid = "a"\ncash = "1"', "a has no currency; give .* or --currency"),
        ('[[portfolio]]\ncash = "1"\ncurrency = "USD"', "id: Field required"),
    ],
)
def test_what_the_language_does_not_know_is_refused_by_name(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ImportFailed, match=told) as caught:
        load(tmp_path, text)
    assert "book.toml" in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "position_max = 40",
        "position_min = -40.0",
        "gross_max = 150",
        "turnover_max = 20",
        "trade_min = 25",
        "cash_floor = 10.5",
        "position_max = inf",
        "position_max = 1" + "0" * 4_000,
    ],
)
def test_a_percent_for_a_fraction_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ImportFailed, match=r"a fraction: 0\.4 is 40 %") as caught:
        load(tmp_path, HEAD + "[portfolio.mandate]\n" + line)
    assert line.split(maxsplit=1)[0] in caught.value.what
    assert len(str(caught.value)) < 600


def test_a_share_above_one_and_a_half_is_told_and_less_is_not(tmp_path: Path) -> None:
    mandate = "[portfolio.mandate]\nposition_max = 1.5\nposition_min = -1.6\ngross_max = 2.0\n"
    assert list(load(tmp_path, HEAD + mandate).odd_shares()) == [
        "a: position_min = -1.6 is -160% of its value",
        "a: gross_max = 2 is 200% of its value",
    ]
    assert list(load(tmp_path, HEAD).odd_shares()) == []


def test_cash_with_a_fraction_is_asked_for_in_quotes(tmp_path: Path) -> None:
    text = '[[portfolio]]\nid = "a"\ncash = 1000000.5\ncurrency = "USD"\n'
    with pytest.raises(ImportFailed, match=r'in quotes: cash = "1000000\.5"') as caught:
        load(tmp_path, text)
    assert "Value error" not in str(caught.value)


def test_no_message_speaks_of_value_errors(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed) as caught:
        load(tmp_path, HEAD.replace('"10"', '"ten"'))
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "k" * 10_000 + " = 1",
        HEAD.replace('"a"', '"' + "n" * 10_000 + '"'),
        HEAD + 'mode = "' + "m" * 10_000 + '"',
        HEAD + "cash" + ".a" * 40 + " = 1",
        (HEAD + "[portfolio.mandate]\nuniverse = " + "[" * 90 + "]" * 90),
        "[parameters]\n[[parameters.modes]]\nmode = " + "[" * 90 + "]" * 90 + "\n" + HEAD,
    ],
)
def test_a_message_holds_little_of_what_a_hostile_file_says(tmp_path: Path, text: str) -> None:
    with pytest.raises(ImportFailed) as caught:
        load(tmp_path, text)
    assert len(str(caught.value)) < 700


def test_many_sources_are_checked_for_doubles_in_no_time(tmp_path: Path) -> None:
    many = "".join(f'[[source]]\nsource = "{n}"\n' for n in range(5_000))
    assert len(load(tmp_path, HEAD + many).sources) == 5_000


def test_a_missing_file_and_other_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="cannot be read"):
        load_book(tmp_path / "absent.toml", currency=None)
    path = tmp_path / "book.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ImportFailed, match="no readable TOML"):
        load_book(path, currency=None)


LIMITS = """[portfolio.mandate]
restricted = ["B", "A"]
net_max = 0.6
days_to_liquidate_max = 20
[[portfolio.mandate.sectors]]
sector = "Tech"
max = 0.3
[[portfolio.mandate.sectors]]
sector = "Energy"
min = 0.1
[[portfolio.mandate.factors]]
factor = "value"
max = 25
[[portfolio.mandate.must_hold]]
instrument = "C"
min = 0.05
[[portfolio.mandate.lots]]
instrument = "C"
multiple = 10
[[portfolio.mandate.soft]]
limit = "sectors"
about = "Tech"
priority = 2
[[portfolio.mandate.soft]]
limit = "net_max"
priority = 1
"""


def test_limits_stand_in_any_order_and_come_sorted(tmp_path: Path) -> None:
    (one,) = load(tmp_path, HEAD + LIMITS).portfolios
    mandate = one.mandate
    assert mandate.restricted == ("A", "B")
    assert [bound.sector for bound in mandate.sectors] == ["Energy", "Tech"]
    assert [(one.limit, one.about) for one in mandate.soft] == [
        ("net_max", None), ("sectors", "Tech"),
    ]  # fmt: skip
    assert (mandate.lots[0].multiple, mandate.factors[0].max) == (10, 25.0)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("max = 0.3", "most = 0.3", "unknown key 'most'"),
        ("max = 0.3", "max = 30", "max = 30 is no share"),
        ("net_max = 0.6", "net_max = 60", "net_max = 60 is no share"),
        ('sector = "Energy"', 'sector = "Tech"', "'Tech' stands there twice"),
        (
            'limit = "net_max"',
            'limit = "lots"',
            "mandate.soft 2.limit: 'lots' is none of those that there are; use 'position_min', ",
        ),
        ("net_max = 0.6\n", "", "soft names net_max, which this mandate does not limit"),
        ("min = 0.05", "min = 0.5", "cannot hold together: position_max 0.1, must_hold C min 0.5"),
        ('instrument = "C"\nmin', 'instrument = "A"\nmin', "must_hold A min 0.05, restricted A"),
        ("min = 0.1\n", "", "mandate.sectors 2: give min, max or both"),
        ("[[portfolio.mandate.lots]]", "[portfolio.mandate.lots]", "lots is no list of tables"),
    ],
)
def test_a_limit_that_cannot_be_meant_stops_the_import_by_name(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in LIMITS
    with pytest.raises(ImportFailed) as stopped:
        load(tmp_path, HEAD + LIMITS.replace(old, new, 1))
    assert told in str(stopped.value)


def test_only_what_may_give_way_is_offered_as_soft(tmp_path: Path) -> None:
    never = LIMITS.replace('instrument = "C"\nmin', 'instrument = "A"\nmin', 1)
    with pytest.raises(ImportFailed) as stopped:
        load(tmp_path, HEAD + never)
    assert stopped.value.what.endswith("must_hold A min 0.05, restricted A")
    remedy = "ease one of them, or name must_hold under [[portfolio.mandate.soft]]"
    assert stopped.value.remedy == remedy


def test_all_that_may_be_soft_is_named_and_nothing_useless_follows(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed) as stopped:
        load(tmp_path, HEAD + LIMITS.replace('limit = "net_max"', 'limit = "lots"'))
    assert str(stopped.value).endswith("'days_to_liquidate_max' or 'must_hold'")
    with pytest.raises(ImportFailed) as stopped:
        load(tmp_path, HEAD + LIMITS.replace("min = 0.1\n", ""))
    assert str(stopped.value).endswith("give min, max or both")


MODE = '[[mode]]\nmode = "{}"\nrisk_aversion = {}\n'


def test_modes_of_ones_own_join_those_there_are_or_take_their_place(tmp_path: Path) -> None:
    own = MODE.format("wild", 0.5) + "robustness = 0.01\n" + MODE.format("balanced", 6.0)
    book = load(tmp_path, HEAD + 'mode = "wild"\n' + own)
    found = {preset.mode: preset for preset in book.parameters.modes}
    assert list(found) == ["aggressive", "balanced", "conservative", "wild"]
    assert (found["wild"].robustness, found["wild"].cost_weight) == (0.01, 1.0)
    assert (found["balanced"].risk_aversion, found["aggressive"].risk_aversion) == (6.0, 3.0)
    first, *_ = book.control_messages(opened_at=7)
    assert ParametersChanged.model_validate_json(first.payload).parameters == book.parameters


def test_modes_of_the_parameters_are_all_there_are_but_for_ones_own(tmp_path: Path) -> None:
    listed = '[[parameters.modes]]\nmode = "balanced"\nrisk_aversion = 4.0\n'
    book = load(tmp_path, HEAD + listed + MODE.format("a", 2.0))
    assert [(one.mode, one.risk_aversion) for one in book.parameters.modes] == [
        ("a", 2.0),
        ("balanced", 4.0),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MODE.format("a", 2.0) + "robustnes = 0.1\n", ("[[mode]] 1", "robustnes", "robustness")),
        (MODE.format("b", 2.0) + MODE.format("a", -2.0), ("[[mode]] 2", "risk_aversion")),
        (MODE.format("a", 2.0) + 'tracking = "much"\n', ("[[mode]] 1", "tracking")),
        ('[[mode]]\nmode = "a"\n', ("[[mode]] 1", "risk_aversion")),
        (MODE.format("a", 2.0) * 2, ("[[mode]]", "'a' stands there twice")),
        ('mode = "b"\n' + MODE.format("a", 2.0), ("unknown mode 'b'", "[[mode]]")),
    ],
)
def test_a_mode_that_is_none_is_refused_with_its_place(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(ImportFailed) as refused:
        load(tmp_path, HEAD + text)
    for word in words:
        assert word in str(refused.value)


BENCHMARK = '[[portfolio.mandate.benchmark]]\ninstrument = "{}"\nweight = {}\n'
RATE = '[[portfolio.costs.{}]]\ninstrument = "{}"\nbps_year = {}\n'


def test_a_benchmark_and_rates_come_in_any_order(tmp_path: Path) -> None:
    text = HEAD + "[portfolio.mandate]\nbenchmark_aversion = 2.5\n"
    text += BENCHMARK.format("B", 0.4) + BENCHMARK.format("A", 0.5) + "[portfolio.costs]\n"
    text += "impact = 1.0\n" + RATE.format("carry", "Z", -30.0) + RATE.format("carry", "A", 5.0)
    text += RATE.format("borrow", "B", 80.0)
    (one,) = load(tmp_path, text).portfolios
    assert one.mandate.benchmark_aversion == 2.5
    assert [(b.instrument, b.weight) for b in one.mandate.benchmark] == [("A", 0.5), ("B", 0.4)]
    assert [(r.instrument, r.bps_year) for r in one.costs.carry] == [("A", 5.0), ("Z", -30.0)]
    assert [(r.instrument, r.bps_year) for r in one.costs.borrow] == [("B", 80.0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BENCHMARK.format("A", 40), ("mandate.benchmark", "weight = 40", "0.4 is 40 %")),
        (BENCHMARK.format("A", 0.7) + BENCHMARK.format("B", 0.7), ("mandate", "add up to 1.4")),
        (BENCHMARK.format("A", 0.7) * 2, ("mandate.benchmark", "'A' stands there twice")),
        (RATE.format("borrow", "A", -1.0), ("costs", "borrow of A is below 0")),
        (RATE.format("carry", "A", 1.0) + "bps = 1\n", ("costs.carry", "unknown key 'bps'")),
    ],
)
def test_a_benchmark_or_a_rate_that_is_none_is_refused(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(ImportFailed) as refused:
        load(tmp_path, HEAD + text)
    for word in words:
        assert word in str(refused.value)
