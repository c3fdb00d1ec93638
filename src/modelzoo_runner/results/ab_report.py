"""The result of an A/B test as text and HTML."""

from __future__ import annotations

from modelzoo_runner.errors import visible
from modelzoo_runner.results import compare_table, markup, table
from modelzoo_runner.results.ab import STOPPED, ABResult
from modelzoo_runner.results.ratio import Ratio

HEADER = ("side", "model", "throughput", "against the first")


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
    return visible("\n".join((*table.columns([HEADER, *rows(result)]), *notes(result))))


def html(result: ABResult) -> str:
    """The same as HTML."""
    return markup.card(
        *(
            markup.title(f"{side.name} against {result.sides[0].name}", comparison.verdict)
            for side, comparison in zip(result.sides[1:], result.comparisons, strict=True)
        ),
        markup.table(HEADER, rows(result)),
        markup.notes(notes(result)),
    )
