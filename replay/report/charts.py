"""The report's plots: which series a run shows, thinned so that a long run stays a small file.

Place in the flow: between a folded run and the SVG renderer. Figures are never made from thinned
series.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from markupsafe import Markup

from replay.baselines import AGENT_LATE, BENCHMARK
from replay.ledger import Curve
from replay.report.story import Story
from replay.report.summary import FATES, Run, Summary
from replay.report.svg import NARROW, WIDE, Layer, bars, columns, diverging, lines

__all__ = [
    "Key",
    "Plot",
    "acceptance",
    "basis_points",
    "conflicts_over_time",
    "day",
    "equity",
    "exposures",
    "percent",
    "voices",
]

POINTS_MAX = 240
COLUMNS_MAX = 60
SOURCES_MAX = 30
PANELS_MAX = 6
_YEAR = 366 * 86_400 * 10**9
_PORTFOLIO_STYLES = 6
_KIND_STYLES = 5


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend: a name and its class."""

    name: str
    style: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart drawn for wide and for narrow screens, with its legend and a note on it."""

    title: str
    picture: Markup
    keys: tuple[Key, ...] = ()
    note: str = ""


def percent(value: float) -> str:
    """A fraction in percent, with a decimal where it is not whole."""
    text = f"{value * 100:z.1f}".removesuffix(".0")
    return f"{text}%".replace("-", "\u2212")


def basis_points(value: float) -> str:
    """A fraction in basis points with its sign."""
    return f"{value * 1e4:+z.1f} bp".replace("-", "\u2212")


def day(at: int, *, years: bool = False) -> str:
    """The date of a time, UTC; with years where a span is long."""
    moment = datetime.fromtimestamp(at // 10**9, tz=UTC)
    return moment.strftime("%b %Y" if years else "%d %b").lstrip("0")


def equity(run: Run) -> Plot:
    """Growth of the portfolios beside what they are compared with."""
    shown = [
        *((curve, f"p{i % _PORTFOLIO_STYLES + 1}") for i, curve in enumerate(run.curves)),
        *((c, f"b{i + 1}") for i, c in enumerate(_group(run.baselines, BENCHMARK)[:2])),
    ]
    late = _group(run.baselines, AGENT_LATE)
    everybody = [*run.curves, *run.baselines]
    chosen = _thinned(sorted({*_openings(everybody), *_times(everybody)}))
    faint = [Layer(curve.name, "agent", _growth(curve, chosen)) for curve in late]
    strong = [Layer(curve.name, style, _growth(curve, chosen)) for curve, style in shown]
    keys = [Key(layer.name, layer.style) for layer in strong]
    if late:
        keys.append(Key(f"the {len(late)} agents, next open", "agent"))
    labels = _labels(chosen)
    title = "Return since the start"
    picture = _both(partial(lines, [*faint, *strong], labels, percent, about=title))
    return Plot(title, picture, tuple(keys), _thinning(run.summary, chosen))


def exposures(run: Run) -> tuple[Plot, ...]:
    """Gross, net and cash of each portfolio; the first few when there are many."""
    plots = []
    for curve in run.curves[:PANELS_MAX]:
        marks = [curve.marks[i] for i in _indices(len(curve.marks))]
        labels = _labels([mark.at for mark in marks])
        gross, net = tuple(mark.gross for mark in marks), tuple(mark.net for mark in marks)
        cash = Layer("cash", "x3", tuple(mark.cash for mark in marks))
        if gross == net:
            layers = [cash, Layer("gross = net", "x1", gross)]
        else:
            layers = [cash, Layer("gross", "x1", gross), Layer("net", "x2", net)]
        keys = tuple(Key(layer.name, layer.style) for layer in layers)
        about = f"Exposure of {curve.name}"
        picture = _both(partial(lines, layers, labels, percent, about=about))
        plots.append(Plot(curve.name, picture, keys))
    return tuple(plots)


def conflicts_over_time(run: Run) -> Plot:
    """Conflicts by kind, per session or per group of sessions."""
    sessions = _times(run.curves) or sorted({at for at, _ in run.tally.conflict_times})
    size = max(1, -(-len(sessions) // COLUMNS_MAX))
    starts = sessions[::size]
    kinds = [kind for kind, _ in run.summary.conflicts]
    counts = {kind: [0.0] * max(len(starts), 1) for kind in kinds}
    place = _placer(sessions, size)
    for at, kind in run.tally.conflict_times:
        counts[kind][place(at)] += 1
    layers = [
        Layer(kind.replace("_", " "), f"k{i % _KIND_STYLES + 1}", tuple(counts[kind]))
        for i, kind in enumerate(kinds)
    ]
    labels = _labels(starts)
    title = "Conflicts per session" if size == 1 else f"Conflicts per {size} sessions"
    picture = _both(partial(columns, layers, labels, _count, about=title))
    return Plot(title, picture, tuple(Key(layer.name, layer.style) for layer in layers))


def acceptance(summary: Summary) -> Plot:
    """What became of each source's signals; of many sources those that said most."""
    ordered = sorted(summary.sources, key=lambda source: (-sum(source.counts), source.source))
    shown = ordered[:SOURCES_MAX]
    fates = [i for i in range(len(FATES)) if any(source.counts[i] for source in shown)]
    layers = [
        Layer(FATES[i], f"f-{FATES[i]}", tuple(float(source.counts[i]) for source in shown))
        for i in fates
    ]
    names = [source.source for source in shown]
    title = "What became of each source's signals"
    picture = _both(partial(bars, names, layers, _count, about=title))
    left = len(ordered) - len(shown)
    note = f"{left} further sources said less and are not shown." if left else ""
    keys = tuple(Key(layer.name, layer.style) for layer in layers)
    return Plot(title, picture, keys, note)


def voices(story: Story) -> tuple[Plot, ...]:
    """Per disputed instrument: what each opinion adds to the expected return, and their sum."""
    plots = []
    for target in story.targets:
        heard = [v for v in story.voices if v.use.instrument == target.instrument]
        # What is left over comes from opinions on correlated instruments, so that all bars add up.
        rest = target.expected_return - sum(voice.use.own for voice in heard)
        names = [*(voice.source for voice in heard), "other opinions", "combined"]
        values = [*(voice.use.own for voice in heard), rest, target.expected_return]
        about = f"Opinions on {target.instrument}"
        picture = _both(partial(diverging, names, values, basis_points, about=about))
        plots.append(Plot(target.instrument, picture))
    return tuple(plots)


def _group(curves: Sequence[Curve], group: str) -> list[Curve]:
    return [curve for curve in curves if curve.group == group]


def _both(draw: Callable[..., Markup]) -> Markup:
    return draw(size=WIDE) + draw(size=NARROW)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _times(curves: Sequence[Curve]) -> list[int]:
    return sorted({mark.at for curve in curves for mark in curve.marks})


def _openings(curves: Sequence[Curve]) -> list[int]:
    """When curves stood at their start: one time for all that opened before the first mark."""
    first = min((curve.marks[0].at for curve in curves if curve.marks), default=0)
    early = [curve.opened_at for curve in curves if curve.opened_at < first]
    late = [curve.opened_at for curve in curves if curve.opened_at >= first and curve.marks]
    return [max(early), *late] if early else late


def _indices(count: int) -> list[int]:
    """Evenly thinned positions, the last among them."""
    step = max(1, -(-count // POINTS_MAX))
    return sorted({*range(0, count, step), count - 1} - {-1})


def _thinned(times: Sequence[int]) -> list[int]:
    return [times[i] for i in _indices(len(times))]


def _growth(curve: Curve, times: Sequence[int]) -> tuple[float | None, ...]:
    """Return at each time: that of the last mark at or before it, 0 from the opening on."""
    found: list[float | None] = []
    last: float | None = None
    marks, index = curve.marks, 0
    for at in times:
        if last is None and curve.opened_at <= at:
            last = 0.0
        while index < len(marks) and marks[index].at <= at:
            last, index = marks[index].growth - 1, index + 1
        found.append(last)
    return tuple(found)


def _labels(times: Sequence[int]) -> list[str]:
    long = bool(times) and times[-1] - times[0] > _YEAR
    return [day(at, years=long) for at in times]


def _placer(sessions: Sequence[int], size: int) -> Callable[[int], int]:
    """The group that a time's session belongs to: the last one that began at or before it."""
    days = [at // (86_400 * 10**9) for at in sessions]

    def place(at: int) -> int:
        found = bisect_right(days, at // (86_400 * 10**9)) - 1
        return max(found, 0) // size

    return place


def _thinning(summary: Summary, chosen: Sequence[int]) -> str:
    if summary.sessions <= len(chosen):
        return ""
    return f"{len(chosen)} of {summary.sessions} sessions are drawn; the figures use all of them."
