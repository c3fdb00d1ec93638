"""What the result of an A/B test is shown as."""

from __future__ import annotations

from collections.abc import Iterator

from modelzoo_runner.results import compare_table
from modelzoo_runner.results.ab import STOPPED, ABResult
from modelzoo_runner.results.ratio import Ratio
from modelzoo_runner.results.shown import Shown, seconds, warnings
from modelzoo_runner.values.words import counted


def shown(result: ABResult) -> Shown:
    """The sides with their throughput and verdict, and how they were measured."""
    first, *others = result.sides
    rows = []
    verdicts: list[Ratio | None] = [None, *result.comparisons]
    for number, (side, verdict) in enumerate(zip(result.sides, verdicts, strict=True)):
        speed = f"{result.throughput(number):.4g} examples/s"
        ratio = "(reference)" if verdict is None else str(verdict).replace(" (", "\n(")
        rows.append((side.name, side.plan.short_name, speed, ratio))
    return Shown(
        headings=[
            (f"{side.name} against {first.name}", comparison.verdict)
            for side, comparison in zip(others, result.comparisons, strict=True)
        ],
        figures=[str(each) for each in result.comparisons[:1] if len(others) == 1],
        header=("side", "model", "throughput", "against the first"),
        rows=rows,
        notes=[*_notes(result), *warnings(result.warnings)],
        differences=list(_differences(result)),
    )


def _notes(result: ABResult) -> Iterator[str]:
    """How it was measured."""
    count = len(result.rounds)
    yield (
        f"{counted(count, 'round')} in {seconds(result.seconds)}, in random "
        f"order; ended: {STOPPED[result.stopped]}"
    )
    if len(result.sides) > 2:
        yield "all intervals hold together with 95 % confidence (Bonferroni)"


def _differences(result: ABResult) -> Iterator[str]:
    """What differs between the sides."""
    for number, side in enumerate(result.sides[1:], 1):
        said = compare_table.differences(result.differences(number)) or ["nothing differs"]
        yield from (f"{side.name}: {each}" for each in said)
