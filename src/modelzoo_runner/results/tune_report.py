"""The result of tune() as text and HTML."""

from __future__ import annotations

from collections.abc import Iterator

from modelzoo_runner.errors import visible
from modelzoo_runner.results import shown
from modelzoo_runner.results.ratio import in_words
from modelzoo_runner.results.tune import Tried, TuneResult
from modelzoo_runner.values import markup, words

HEADER = ("settings", "throughput", "step", "measurements", "remark")


def calls(result: TuneResult) -> list[tuple[str, list[str]]]:
    """The best call, and what it brings."""
    gain = result.gain
    if gain is not None:
        what = "throughput" if result.objective == "throughput" else "time of a step"
        said = f"{what} against the default: {gain}"
    elif result.best == result.default:
        said = "none: nothing was faster than the default"
    else:
        said = "not confirmed: see below"
    return [("Python", [result.python]), ("shell", [result.shell]), ("gain", [said])]


def rows(result: TuneResult, tried: tuple[Tried, ...]) -> list[tuple[str, ...]]:
    """Some of what was tried, as `HEADER` names it."""
    found: list[tuple[str, ...]] = []
    for each in tried:
        throughput, latency = result.throughput(each), result.latency(each)
        figures = ("", "")
        if throughput is not None and latency is not None:
            figures = (f"{throughput:.4g}/s", shown.seconds(latency))
        remark = "the best" if each.dropped is None else each.dropped
        found.append((each.name, *figures, str(len(each.heats)), remark))
    return found


def ordered(result: TuneResult) -> tuple[Tried, ...]:
    """All that was tried, the best first; then what wasn't measured."""

    def place(each: Tried) -> tuple[bool, float]:
        if result.objective == "throughput":
            value = -(result.throughput(each) or 0.0)
        else:
            value = result.latency(each) or 0.0
        return result.throughput(each) is None, value

    return tuple(sorted(result.tried, key=place))


def notes(result: TuneResult) -> Iterator[str]:
    """What was scored, how the search ended, and the warnings."""
    for way in result.scores:
        scored = ", ".join(f"{name} {value:.4f}" for name, value in way.scores.items())
        yield f"{way.runtime} {way.precision}: {way.problem or scored}"
    heats = sum(len(each.heats) for each in result.tried)
    ended = "all was reached" if result.complete else "the budget didn't allow all"
    if result.interrupted:
        ended = "interrupted"
    yield (
        f"{len(result.tried)} settings, {heats} measurements, {result.seconds:.0f} of "
        f"{result.budget:.0f} s: {ended}"
    )
    if result.confirmed is not None:
        count = words.counted(len(result.confirmed.rounds), "round")
        yield f"the gain is of {count} of fresh processes"
    yield from shown.warnings(result.warnings)


def text(result: TuneResult) -> str:
    """The best call, the Pareto front, everything that was tried, and the notes."""
    page = "\n".join(
        (
            f"{result.model}: the best for {result.objective}",
            *(f"  {name:<7} {said[0]}" for name, said in calls(result)),
            "Pareto front of throughput and time of a step:",
            *(f"  {line}" for line in shown.columns([HEADER, *rows(result, result.pareto)])),
            "tried:",
            *(f"  {line}" for line in shown.columns([HEADER, *rows(result, ordered(result))])),
            *notes(result),
        )
    )
    return visible(page)


def html(result: TuneResult) -> str:
    """The same as HTML."""
    gain = result.gain
    verdict = None if gain is None else gain.verdict
    main = f"{in_words(gain.value)} than the default" if gain and verdict == "faster" else ""
    return markup.card(
        markup.title(f"{result.model}: the best for {result.objective}", verdict),
        markup.figures(main) if main else "",
        markup.facts(calls(result)),
        markup.title("Pareto front of throughput and time of a step"),
        markup.table(HEADER, rows(result, result.pareto)),
        markup.title("Tried"),
        markup.table(HEADER, rows(result, ordered(result))),
        markup.notes(notes(result)),
    )
