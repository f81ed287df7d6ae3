from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from replay.baselines import AGENT_LATE, BENCHMARK, Baselines
from replay.ledger import Ledger
from replay.report import write_report
from replay.report.story import tell
from replay.report.summary import fold
from schemas.portfolios import PortfolioOpened
from tests.support.planted_run import (
    DAY,
    HOSTILE,
    START,
    Planted,
    allocation,
    conflict,
    conflicts,
    planted_run,
    prices,
    signal,
)


class Tags(HTMLParser):
    """Collects tags, and texts of what is not a style sheet."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def beside() -> Baselines:
    curves = []
    for name, group in ((HOSTILE, AGENT_LATE), (f"index {HOSTILE}", BENCHMARK)):
        ledger = Ledger(name, group, 100.0, START)
        for session in range(4):
            ledger.mark(START + session * DAY, {})
        curves.append(ledger.curve())
    return Baselines(tuple(curves), f"note {HOSTILE}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(planted_run(), path, title=f"Run {HOSTILE}", baselines=beside())
    return path.read_text(encoding="utf-8")


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    return tags


def test_hostile_names_are_shown_and_never_run(page: str) -> None:
    tags = parsed(page)
    assert "script" not in tags.tags
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert any(HOSTILE in text for text in tags.texts)
    assert "too <b>late</b>" not in page


def test_hostile_names_reach_the_plots_escaped(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert drawings
    assert any("&lt;script&gt;" in drawing for drawing in drawings)
    assert not any("<script" in drawing for drawing in drawings)


def test_every_tag_is_closed(page: str) -> None:
    assert parsed(page).open == []


def test_page_fetches_nothing(page: str) -> None:
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bsrc=|<link", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    "heading",
    [
        "Results",
        "Exposure",
        "Conflicts",
        "What became of the signals",
        "One decision, from its signals",
        "What the words mean",
    ],
)
def test_page_has_every_section(page: str, heading: str) -> None:
    assert f"<h2>{heading}" in page


def test_caveat_states_the_standard_error_over_the_sessions_there_were(page: str) -> None:
    assert "over 4 sessions an annualised Sharpe ratio has a standard error of about 7.9" in page


def test_page_tells_of_what_could_not_become_an_event(page: str) -> None:
    assert "become an event) 1, input rejected 1." in page


def test_story_is_of_the_most_severe_conflict_and_goes_to_the_fills(page: str) -> None:
    assert "opposite direction" in page
    assert "20, 20 filled" in page
    assert "11.01, 11.01" in page
    assert "position max" in page


def test_page_defines_the_words_that_it_uses(page: str) -> None:
    assert "Opposite direction: two opinions on one instrument pull apart." in page
    assert "Outvoted: other opinions prevailed." in page
    assert "<dt>relaxed</dt><dd>not every limit could be kept: one was already broken" in page


def test_page_tells_the_skill_and_the_age_of_each_opinion(page: str) -> None:
    cells = re.findall(r"<tr><th>alice</th>.*?</tr>", page, re.DOTALL)[0]
    assert ">0.2 d<" in cells
    assert ">0.050<" in cells


def test_page_says_how_to_see_dead_letters(page: str) -> None:
    assert "coordinator events --topic signals.dlq" in page


def test_portfolio_that_was_never_filled_is_said_at_the_head(tmp_path: Path, page: str) -> None:
    assert "was never filled" not in page
    run = Planted()
    run.say(allocation("main:1", START, ()))
    path = tmp_path / "unfilled.html"
    write_report(run.log, path, title="unfilled")
    text = path.read_text(encoding="utf-8")
    assert "main was never filled.</b> It decided 1 trade (1 open)" in text
    assert text.index("was never filled") < text.index("<h2>Results")


def test_story_knows_who_said_what() -> None:
    log = planted_run()
    story = tell(log, fold(log).tally)
    assert story is not None
    assert [voice.source for voice in story.voices] == ["alice", "bob", HOSTILE]
    assert [voice.use.verdict for voice in story.voices] == ["followed", "outvoted", "limited"]
    assert story.voices[1].signal is not None
    assert story.voices[1].signal.direction == -1
    assert story.conflict.severity == 0.9
    assert [end.outcome for end in story.trades[0].ends] == ["expired"]


def test_empty_log_gives_a_page_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.html"
    write_report(Planted().log, path, title="nothing")
    text = path.read_text(encoding="utf-8")
    assert parsed(text).open == []
    assert "No decision of this run had a conflict" in text


def test_five_years_of_many_portfolios_and_sources_stay_a_small_file(tmp_path: Path) -> None:
    run = Planted()
    for portfolio in range(12):
        opened = {"event_id": "p", "event_time": START, "portfolio": f"portfolio {portfolio}"}
        run.tell(
            PortfolioOpened.model_validate({**opened, "currency": "EUR", "cash": "1000"}),
            START,
            (0,),
        )
    for source in range(80):
        run.tell(signal(f"source {source}", "s1", START, 1), START)
    for session in range(1259):
        close = START + (session + 1) * DAY
        run.tell(prices("bar", close, 10.0 + session % 7), close)
        run.say(conflicts(close, conflict()))
    path = tmp_path / "long.html"
    write_report(run.log, path, title="long")
    text = path.read_text(encoding="utf-8")
    assert len(text) < 3_000_000
    assert "of 1259 sessions are drawn" in text
    assert "50 further sources" in text
    assert "6 further portfolios" in text
    assert "Conflicts per 21 sessions" in text


def test_report_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    (target / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_report(planted_run(), target, title="x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
