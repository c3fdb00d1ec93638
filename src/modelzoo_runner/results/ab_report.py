"""The result of an A/B test as text, and as HTML with a picture of its rounds."""

from __future__ import annotations

import html as markup
import math
from collections.abc import Sequence

from modelzoo_runner.results import compare_table, ratio, table
from modelzoo_runner.results.ab import STOPPED, ABResult
from modelzoo_runner.results.ratio import Ratio
from modelzoo_runner.results.stats import percentile

HEADER = ("side", "model", "throughput", "against the first")

WIDTH, HEIGHT, MARGIN = 720, 180, 48

COLOR = "#1f77b4"


def rows(result: ABResult) -> list[tuple[str, str, str, str]]:
    """The sides with their throughput and verdict, as `HEADER` names them."""
    found = []
    verdicts: list[Ratio | None] = [None, *result.comparisons]
    for number, (side, verdict) in enumerate(zip(result.sides, verdicts, strict=True)):
        plan = side.plan
        what = f"{plan.model} {plan.precision}, batch {plan.batch_size}"
        speed = f"{result.throughput(number):.4g} examples/s"
        found.append((side.name, what, speed, "(reference)" if verdict is None else str(verdict)))
    return found


def notes(result: ABResult) -> list[str]:
    """How it was measured, what differs between the sides, and the warnings."""
    count = len(result.rounds)
    found = [
        f"{count} round{'' if count == 1 else 's'} in {table.seconds(result.seconds)}, in random "
        f"order; ended: {STOPPED[result.stopped]}"
    ]
    if len(result.sides) > 2:
        found.append("all intervals hold together with 95 % confidence (Bonferroni)")
    for number, side in enumerate(result.sides[1:], 1):
        said = compare_table.differences(result.differences(number)) or ["nothing differs"]
        found += [f"{side.name}: {each}" for each in said]
    return [*found, *(f"warning: {each}" for each in result.warnings)]


def text(result: ABResult) -> str:
    """A line for each side, and the notes."""
    return "\n".join((*table.columns([HEADER, *rows(result)]), *notes(result)))


def html(result: ABResult) -> str:
    """The same as HTML, with a picture of the rounds for each comparison."""
    pictures = "".join(
        f"<h4>{markup.escape(side.name)} against {markup.escape(result.sides[0].name)}</h4>"
        + picture(result.log_ratios(number), comparison)
        for number, (side, comparison) in enumerate(
            zip(result.sides[1:], result.comparisons, strict=True), 1
        )
    )
    said = "".join(f"<li>{markup.escape(each)}</li>" for each in notes(result))
    return f"{table.html_table(HEADER, rows(result))}{pictures}<ul>{said}</ul>"


def picture(log_ratios: Sequence[float], comparison: Ratio) -> str:
    """An SVG with a dot for each round's ratio, the interval as a band, and equality as a line.

    Rounds far outside are drawn at the edge, so that one disturbance doesn't flatten the rest.
    """
    ordered = sorted(log_ratios)
    shown = [0.0, percentile(ordered, 0.05), percentile(ordered, 0.95)]
    if comparison.interval is not None:
        shown += map(math.log, comparison.interval)
    low, high = min(shown), max(shown)
    room = max(0.15 * (high - low), 0.005)
    low, high = low - room, high + room

    def x(place: int) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * (place + 0.5) / len(log_ratios)

    def y(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return HEIGHT - 20 - (HEIGHT - 40) * share

    parts = []
    if comparison.interval is not None:
        top, bottom = (y(math.log(each)) for each in reversed(comparison.interval))
        parts.append(
            f'<rect x="{MARGIN}" y="{top:.1f}" width="{WIDTH - 2 * MARGIN}" '
            f'height="{max(1.0, bottom - top):.1f}" fill="{COLOR}" opacity="0.2">'
            "<title>95 % interval</title></rect>"
        )
    for value, dash in ((0.0, "4 3"), (math.log(comparison.value), "")):
        label = "equal" if value == 0.0 else ratio.in_words(comparison.value)
        parts.append(
            f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'stroke="#555" stroke-dasharray="{dash}"><title>{label}</title></line>'
        )
    parts += [
        f'<circle cx="{x(place):.1f}" cy="{y(value):.1f}" r="3" fill="{COLOR}">'
        f"<title>round {place + 1}: {ratio.in_words(math.exp(value))}</title></circle>"
        for place, value in enumerate(log_ratios)
    ]
    for value in (low, 0.0, high):
        parts.append(
            f'<text x="{MARGIN - 4}" y="{y(value) + 4:.1f}" text-anchor="end" font-size="11">'
            f"{math.exp(value):.3g}x</text>"
        )
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle" font-size="11">'
        f"rounds 1 to {len(log_ratios)}; above the dashed line it is faster</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">{"".join(parts)}</svg>'
    )
