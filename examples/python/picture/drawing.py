"""Draws two runs side by side, as an SVG that is legible on a light and on a dark page."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runs import Lane, Run

WIDTH, HEIGHT, MARGIN = 880, 396, 24
# Of one run: where its bars begin, and how long the longest is.
PANELS, LABEL, BAR = (MARGIN, 456), 50, 346
TOP, ROW, THICKNESS = 106, 16, 10

# It has a background of its own, so that any page around it will do.
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #59636e }
text.title { font-size: 16px; font-weight: 600; fill: #1f2328 }
text.head { font-size: 14px; font-weight: 600; fill: #1f2328 }
text.small { font-size: 11px }
.page { fill: #ffffff; stroke: #d0d7de }
.works { fill: #4ac26b }
.out { stroke: #c3cad2; stroke-width: 2; stroke-dasharray: 2 5 }
.adopts { stroke: #0b4a20; stroke-width: 2 }
.redeems { fill: #0550ae; stroke: #ffffff; stroke-width: 1.5 }
.refused { stroke: #cf222e; stroke-width: 2.5; fill: none }
.axis { stroke: #d0d7de }
@media (prefers-color-scheme: dark) {
text { fill: #9da5ae }
text.title, text.head { fill: #f0f6fc }
.page { fill: #151b23; stroke: #3d444d }
.works { fill: #238636 }
.out { stroke: #4d5560 }
.adopts { stroke: #aff5b4 }
.redeems { fill: #a5d6ff; stroke: #151b23 }
.refused { stroke: #ff7b72 }
.axis { stroke: #3d444d }
}
"""


def picture(title: str, runs: dict[str, Run], notes: Sequence[str]) -> str:
    """The SVG of two runs by their heads, with notes below."""
    described = " ".join(f"{head}: {outcome(run)}." for head, run in runs.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(described)}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
        text(MARGIN, 36, title, "title"),
    ]
    for left, (head, run) in zip(PANELS, runs.items(), strict=True):
        parts += [text(left, 68, head, "head"), text(left, 88, outcome(run)), *panel(left, run)]
    parts += legend()
    parts += [text(MARGIN, HEIGHT - 29 + 15 * n, note, "small") for n, note in enumerate(notes)]
    return "\n".join([*parts, "</svg>\n"])


def outcome(run: Run) -> str:
    out, programs = run.signed_out(), len(run.lanes)
    granted = "1 refresh" if run.grants == 1 else f"{run.grants} refreshes"
    refreshes = f"{granted}, {run.refused or 'none'} refused"
    if out:
        return f"{len(out)} of {programs} are signed out after {out[-1]:.0f} s; {refreshes}"
    return f"all {programs} work for {run.seconds:.0f} s; {refreshes}"


def panel(left: int, run: Run) -> Iterator[str]:
    """The bars of one run, and its time."""
    begin = left + LABEL
    scale = BAR / run.seconds
    bottom = TOP + len(run.lanes) * ROW + 2
    for second in range(0, round(run.seconds) + 1, 5):
        x = begin + second * scale
        yield f'<path class="axis" d="M{x:.1f} {TOP - 4}V{bottom}"/>'
        yield text(x, bottom + 15, f"{second} s", "small", "middle")
    y = TOP
    for kind, lanes in groupby(run.lanes, lambda lane: lane.name.partition("-")[0]):
        yield text(left, y + THICKNESS - 1, kind.capitalize(), "small")
        for lane in lanes:
            yield from bar(lane, begin, y, run.seconds, scale)
            y += ROW


def bar(lane: Lane, begin: int, y: int, seconds: float, scale: float) -> Iterator[str]:
    middle = y + THICKNESS / 2
    first, end = lane.started or 0.0, lane.signed_out or seconds
    x, width = begin + first * scale, (end - first) * scale
    yield (
        f'<rect class="works" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{THICKNESS}" rx="2"/>'
    )
    for when in lane.recovered:
        yield adopts(begin + when * scale, middle)
    for when in lane.redeemed:
        yield redeems(begin + when * scale, middle)
    if lane.signed_out is not None:
        out = begin + lane.signed_out * scale
        yield f'<path class="out" d="M{out + 12:.1f} {middle}H{begin + BAR}"/>'
        yield refused(out + 4, middle)


def adopts(x: float, y: float) -> str:
    return f'<path class="adopts" d="M{x:.1f} {y - 3}v6"/>'


def redeems(x: float, y: float) -> str:
    return f'<circle class="redeems" cx="{x:.1f}" cy="{y}" r="5"/>'


def refused(x: float, y: float) -> str:
    return f'<path class="refused" d="M{x - 4:.1f} {y - 4}l8 8m0 -8l-8 8"/>'


def legend() -> Iterator[str]:
    y = HEIGHT - 52
    entries = (
        (redeems, "redeems the refresh token", MARGIN),
        (adopts, "goes on after a 401 with the new tokens", 246),
        (refused, "is refused: its user must sign in again", 558),
    )
    for mark, meaning, x in entries:
        yield mark(x + 5, y - 4)
        yield text(x + 18, y, meaning)


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(content)}</text>'
    )
