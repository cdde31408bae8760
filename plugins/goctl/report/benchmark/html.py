"""A night as one page of HTML that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from html import escape

from goctl.measures import CONTROL, PHASES, Judgement, Night, Point, Sample, Verdict, median_phases
from goctl.report.benchmark import svg, words
from goctl.report.benchmark.svg import Spot
from goctl.report.words import clean

#: Nights that a plot of the history shows.
SHOWN = 60

_STYLE = """
:root { color-scheme: light dark; --ground: #fcfcfb; --ink: #1d2126; --soft: #5d6670; --rule: #dfe2e5; --card:
  #ffffff;
  --now: #2563a8; --then: #9aa4af; --bad: #bb2d2d; --good: #23753f; --warn: #8a5a00;
  --p0: #8794a3; --p1: #55a3a3; --p2: #2563a8; --p3: #7e62b8; --p4: #c27c2c; --p5: #66707b; --inside: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ground: #15181c; --ink: #e6e8ea; --soft: #9aa4af; --rule: #31373e;
  --card: #1c2025;
  --now: #6caaf0; --then: #6a7480; --bad: #f07a7a; --good: #6cc48a; --warn: #e0b050;
  --p0: #77838f; --p1: #5fb5b5; --p2: #5b9be6; --p3: #a58ae0; --p4: #dd9a4c; --p5: #a3acb6; --inside: #101215; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 28px 24px 60px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 36px 0 10px; } h3 { font-size: 15px; margin: 0
  0 6px; }
p { margin: 4px 0; } .soft { color: var(--soft); } ul { padding-left: 20px; margin: 10px 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { padding: 5px 14px 5px 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child, th:last-child, td:last-child {
  text-align: left; }
.grid2 { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 560px), 1fr)); gap: 18px; }
section.card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px; }
.failed { color: var(--bad); font-weight: 600; } .slower { color: var(--warn); } .faster { color: var(--good); }
.phases svg { max-width: 860px; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
svg text.inside { fill: var(--inside); } .now { fill: var(--now); fill-opacity: .8; } .then { fill: var(--then);
  fill-opacity: .8; }
.bad { fill: var(--bad); } .median { stroke: var(--ink); stroke-width: 2; } .grid { stroke: var(--rule); }
.line { fill: none; stroke: var(--now); stroke-width: 1.5; } .whisker { stroke: var(--now); stroke-opacity: .5;
  stroke-width: 2; }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 14px; vertical-align:
  -1px; }
"""


def page(night: Night, judgement: Judgement, baselines: Mapping[str, Night], history: Sequence[Night]) -> str:
    """The page. `history` are earlier nights on such a machine, oldest first."""
    nights = [*history, night][-SHOWN:]
    verdicts = {verdict.state: verdict for verdict in judgement.verdicts}
    states = [*night.states, *([CONTROL] if CONTROL in night.samples else [])]
    failed = ", ".join(verdict.state for verdict in judgement.failed)
    title = f"slower than they may be: {failed}" if failed else "what releases take"
    parts = [
        f"<h1>{_text(night.project)}: {_text(title)}</h1>",
        f'<p class="soft">{_text(night.date)} · {_text(words.head(night))}</p>',
        "<ul>" + "".join(f"<li>{_text(one)}</li>" for one in words.sentences(night, judgement)) + "</ul>",
        _table(words.COLUMNS, words.rows(night, judgement)),
        "<h2>Where the time goes</h2>",
        _phases(night),
        "<h2>Each state: every round, and every night</h2>",
        '<div class="grid2">',
        *(_state(state, night, baselines.get(state), verdicts.get(state), nights) for state in states),
        "</div>",
        *(_scaling(night.scaling) if night.scaling else ()),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(night.project)}: benchmark of {_text(night.date[:10])}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return escape(clean(text))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row[:-1]) + f'<td class="{_text(row[-1].lower())}">'
        f"{_text(row[-1])}</td></tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _phases(night: Night) -> str:
    """A bar of phases for each state, longest first."""
    rows = [
        (state, [*median_phases(samples).items()])
        for state, samples in night.samples.items()
        if any(sample.phases for sample in samples)
    ]
    if not rows:
        return '<p class="soft">No phases were told.</p>'
    rows.sort(key=lambda row: -sum(value for _, value in row[1]))
    keys = "".join(f'<span class="key" style="background: var(--p{at})"></span>{phase}' for at, phase in enumerate(PHASES))
    style = "".join(f".part{at} {{ fill: var(--p{at}); }}" for at in range(len(PHASES)))
    plot = svg.bars(rows, words.seconds, "median seconds of each phase")
    return f'<style>{style}</style><section class="card phases"><p>{keys}</p>{plot}</section>'


def _state(state: str, night: Night, baseline: Night | None, verdict: Verdict | None, nights: Sequence[Night]) -> str:
    rows = [("this night", night.seconds(state))]
    if baseline is not None and baseline.samples.get(state):
        rows.insert(0, ("baseline", baseline.seconds(state)))
    shown = [(name, values, statistics.median(values)) for name, values in rows]
    said = "a fixed piece of work, to tell the machine from the releases" if state == CONTROL else ""
    if verdict is not None and verdict.outcome != "new":
        said = f"{words.percent(verdict.ratio)} beside the baseline: {verdict.outcome}"
    kind = verdict.outcome if verdict is not None else "soft"
    parts = [
        f'<section class="card"><h3>{_text(state)}</h3><p class="{kind}">{_text(said) or "&nbsp;"}</p>',
        svg.strips(shown, words.seconds, f"{state}: every round"),
    ]
    spots = [_spot(number, each, state) for number, each in enumerate(nights) if each.samples.get(state)]
    if verdict is not None and spots:
        spots[-1] = spots[-1]._replace(is_bad=verdict.outcome == "failed")
    if len(spots) > 1:
        ends = (nights[int(spots[0].at)].date[:10], nights[int(spots[-1].at)].date[:10])
        parts.append(svg.lines(spots, words.seconds, ends, f"{state}: medians of {len(spots)} nights", "nights"))
    return "".join([*parts, "</section>"])


def _spot(number: int, night: Night, state: str) -> Spot:
    samples: tuple[Sample, ...] = night.samples[state]
    taken = sorted(sample.seconds for sample in samples)
    middle = statistics.median(taken)
    quarter = len(taken) // 4
    title = f"{night.date[:16]} {night.commit[:12]}: {words.seconds(middle)} in {len(taken)} rounds"
    return Spot(number, middle, taken[quarter], taken[-1 - quarter], clean(title))


def _scaling(points: Sequence[Point]) -> list[str]:
    """What further targets add, and further platforms, with nothing to do."""
    most_platforms = max(point.platforms for point in points)
    most_targets = max(point.targets for point in points)
    by_targets = [(point.targets, point) for point in points if point.platforms == most_platforms]
    by_platforms = [(point.platforms, point) for point in points if point.targets == most_targets]
    made = ["<h2>How it scales, with nothing to do</h2>", '<div class="grid2">']
    for what, beside, found in (
        ("targets", f"for {most_platforms} platforms", by_targets),
        ("platforms", f"of {most_targets} targets", by_platforms),
    ):
        if len(found) < 2:
            continue
        spots = []
        for count, point in sorted(found, key=lambda pair: pair[0]):
            middle = statistics.median(point.seconds)
            title = f"{count} {what}: {words.seconds(middle)}"
            spots.append(Spot(count, middle, min(point.seconds), max(point.seconds), title))
        line = statistics.linear_regression([spot.at for spot in spots], [spot.value for spot in spots])
        said = f"each of the {what} {beside} adds {line.slope * 1000:.1f} ms"
        plot = svg.lines(spots, words.seconds, (str(int(spots[0].at)), str(int(spots[-1].at))), said, what)
        made.append(f'<section class="card"><h3>{what}</h3><p class="soft">{said}</p>{plot}</section>')
    return [*made, "</div>"]
