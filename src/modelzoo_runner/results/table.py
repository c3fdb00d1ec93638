"""How a result looks: six lines of text, or a small table in a notebook."""

from __future__ import annotations

import html as markup
from pathlib import PurePath

from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Result

MAIN_OF_COCO = ("AP", "AP50", "AP75")
"""Of the 12, what is shown on one line."""


def rows(result: Result) -> list[tuple[str, str]]:
    """What a person wants to know first, as (name, value) pairs."""
    plan = result.plan
    what = f"{plan.model} {plan.precision}, batch {plan.batch_size}, {_input(result)}"
    found = [("accuracy" if isinstance(result, AccuracyResult) else "benchmark", what)]
    if isinstance(result, AccuracyResult):
        found += [("scores", _scores(result)), ("examples", _examples(result))]
    else:
        found += [("throughput", _throughput(result)), ("latency", _latency(result))]
    found += [("steps", _steps(result)), ("ran", _ran(result))]
    found.append(("warnings", _trust(result)))
    return found


def text(result: Result) -> str:
    """The rows as six aligned lines."""
    return "\n".join(f"{name:<11}{value}" for name, value in rows(result))


def html(result: Result) -> str:
    """The rows as an HTML table."""
    body = "".join(
        f"<tr><th style='text-align:left'>{markup.escape(name)}</th>"
        f"<td style='text-align:left'>{markup.escape(value)}</td></tr>"
        for name, value in rows(result)
    )
    return f"<table>{body}</table>"


def seconds(value: float) -> str:
    """A duration with three digits, in the unit that suits it.

    >>> seconds(0.01234), seconds(2.5), seconds(0.0000042)
    ('12.3 ms', '2.50 s', '4.20 µs')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{_three_digits(value / size)} {unit}"
    return f"{_three_digits(value / 1e-9)} ns"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


def _input(result: Result) -> str:
    plan = result.plan
    if plan.data_location is None:
        return "synthetic input"
    return f"{plan.data_location}, streamed" if plan.stream else plan.data_location


def _throughput(result: Result) -> str:
    said = (
        f"{result.throughput:.1f} examples/s inference only, "
        f"{result.end_to_end_throughput:.1f} with data wait"
    )
    if not isinstance(result, BenchmarkResult) or not result.instances:
        return said
    return f"{said}; each {', '.join(f'{each:.1f}' for each in result.instance_throughputs)}"


def _latency(result: Result) -> str:
    latency = result.latency
    parts = [f"median {seconds(latency.p50)} per step"]
    if latency.p50_interval is not None:
        low, high = latency.p50_interval
        parts.append(f"(95 % sure: {seconds(low)} to {seconds(high)})")
    for name in ("p90", "p99"):
        value = getattr(latency, name)
        if value is not None:
            parts.append(f"{name} {seconds(value)}")
    parts.append(f"max {seconds(latency.max)}")
    return ", ".join(parts).replace(", (", " (")


def _scores(result: AccuracyResult) -> str:
    parts = []
    interval, difference, legacy = result.interval, result.difference, result.legacy_scores
    for name, score in result.scores.items():
        if legacy and name not in MAIN_OF_COCO:
            continue
        part = f"{name} {score:.4f}"
        notes = [f"legacy {legacy[name]:.4f}"] if legacy else []
        if name in interval:
            low, high = interval[name]
            notes.append(f"95 % sure: {low:.4f} to {high:.4f}")
        if name in difference:
            notes.append(f"{difference[name]:+.4f} from published")
        parts.append(part + (f" ({'; '.join(notes)})" if notes else ""))
    return ", ".join(parts)


def _examples(result: AccuracyResult) -> str:
    hits = ", ".join(f"{name} {count}" for name, count in result.counts.items())
    return f"{result.examples}" + (f", hits: {hits}" if hits else "")


def _trust(result: Result) -> str:
    said = result.warnings
    warnings = "none" if not said else f"{len(said)}: {'; '.join(said)}"
    # A score doesn't depend on how long its steps took.
    if result.verdict is None or isinstance(result, AccuracyResult):
        return warnings
    causes = f" ({'; '.join(result.causes)})" if result.causes else ""
    return f"{result.verdict}{causes}; {warnings}"


def _steps(result: Result) -> str:
    warmup = result.warmup_seconds
    cold = f" (first {seconds(warmup[0])})" if warmup else ""
    return (
        f"{len(result.step_seconds)} measured in {seconds(sum(result.step_seconds))}, "
        f"data wait {seconds(sum(result.data_seconds))}, {len(warmup)} warm-up{cold}"
    )


def _ran(result: Result) -> str:
    plan, observed = result.plan, result.observed
    placement = plan.placement
    where = {"process": "in this process", "child": "in a child process"}.get(observed.host, "")
    if plan.docker_image is not None:
        where = f"in a container of {plan.docker_image.name}"
    version = observed.machine["software"]["tensorflow"]["version"]
    graph = "optimized graph" if plan.optimize else "graph as it is"
    if plan.preprocess_graph is not None:
        graph += f" fed by {PurePath(plan.preprocess_graph.path).name}"
    each = ""
    if plan.instances:
        where, each = f"in {len(plan.instances)} child processes at once", " each"
    if isinstance(result, AccuracyResult) and result.parts:
        nodes = len({part.machine.get("id") for part in result.parts})
        where += f", in {len(result.parts)} parts" + (f" on {nodes} nodes" if nodes > 1 else "")
    return (
        f"{where}, {placement.intra_threads} intra-op and {placement.inter_threads} inter-op "
        f"threads{each} on {len(placement.cpus) or 'all'} CPUs, {graph}, TensorFlow {version}"
    )
