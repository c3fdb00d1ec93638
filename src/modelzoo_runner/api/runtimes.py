"""runtimes(): one model in several runtimes and precisions, measured in turns."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from modelzoo_runner.api import ab, verbs
from modelzoo_runner.backends import base
from modelzoo_runner.errors import RequestError, RunnerError
from modelzoo_runner.execution import host, launch
from modelzoo_runner.planning.planner import Model
from modelzoo_runner.results.runtimes import RuntimesResult, Way
from modelzoo_runner.values import bars, validate
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.options import Precision
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.progress import Told

TRIAL_STEPS = 3
"""Steps of the process of its own in which a way's memory and start-up time are seen."""


@bars.shown
def runtimes(
    model: Model,
    *,
    runtimes: Sequence[str] = tuple(base.BACKENDS),
    precisions: Sequence[Precision] = get_args(Precision),
    data_location: str | Path | None = None,
    limit: int | None = None,
    rounds: int | None = 5,
    min_effect: float = 0.01,
    max_seconds: float = 120.0,
    offline: bool = False,
    progress: Told = None,
    **shared: Any,
) -> RuntimesResult:
    """How a model does in each runtime and precision on this machine.

    Each way first runs in a process of its own, for its memory and its start-up time. Those that
    can be run are then measured in turns, as `ab_test` does, with made inputs; all of them are in
    memory then. A way that can't be run is a row that says why. See `docs/runtimes.md`.

    Args:
        model: as `benchmark()` has it.
        runtimes: of `tensorflow`, `onnxruntime` and `openvino`; the first is the reference.
        precisions: of `fp32`, `int8` and `bfloat16`; the first is the reference.
        data_location: labelled data, to score each way on; also what int8 is calibrated with.
        limit: score so many examples.
        rounds: of fresh processes, as `ab_test` has it; `None`: as many as are needed.
        min_effect: the smallest difference in throughput that matters, as a share.
        max_seconds: when measuring in turns ends at the latest.
        offline: never touch the network.
        progress: `True` for bars, `False` for none, or a function, called with (what, done, total
            or None). `None`: bars in a notebook and in a terminal.
        **shared: arguments of `benchmark()` for all ways, such as `batch_size` and `weights`.

    Returns:
        A row for each runtime and precision.

    Raises:
        RequestError: an argument that can't be.
        Interrupted: Ctrl-C while measuring; holds the turns measured so far.

    Examples:
        >>> from modelzoo_runner import runtimes
        >>> print(runtimes("resnet50", weights="random", batch_size=1))  # doctest: +SKIP
    """
    for name in validate.some("runtimes", runtimes):
        base.find(name)
    for precision in validate.some("precisions", precisions):
        validate.one_of("precisions", precision, get_args(Precision))
    given_twice = {"runtime", "precision"} & shared.keys()
    if given_twice:
        raise RequestError(f"{', '.join(sorted(given_twice))}: give runtimes= and precisions=")
    ends = ab.checked_ends(rounds, min_effect, max_seconds)
    shared = {**shared, "model": model, "data_location": data_location}
    context = Context(offline=offline, progress=progress)
    ways: list[Way] = []
    sides: list[tuple[str, Plan, str | None]] = []
    pairs = [(runtime, precision) for runtime in runtimes for precision in precisions]
    for done, (runtime, precision) in enumerate(pairs):
        context.tell("runs", done, len(pairs))
        asked = {"runtime": runtime, "precision": precision, "name": f"{runtime} {precision}"}
        way = Way(runtime=runtime, precision=precision)
        try:
            name, plan, python = ab.side_of(asked, shared, "", context)
            # Measured with made inputs: reading data is no part of a runtime.
            plan = dataclasses.replace(plan, data_location=None, annotations=None)
            way = _tried(way, plan, context)
            if data_location is not None:
                way = scored(way, shared, limit, context)
        except RunnerError as error:
            ways.append(dataclasses.replace(way, problem=str(error)))
            continue
        ways.append(dataclasses.replace(way, side=len(sides)))
        sides.append((name, plan, python))
    context.tell("runs", len(pairs), len(pairs))
    measured = ab.measured(sides, ends, 0, context) if sides else None
    return RuntimesResult(
        model=sides[0][1].model if sides else str(getattr(model, "name", model)),
        ways=tuple(ways),
        measured=measured,
        warnings=() if measured is None else measured.warnings,
    )


def _tried(way: Way, plan: Plan, context: Context) -> Way:
    """The way with what a short run of its own shows."""
    trial = dataclasses.replace(plan, warmup_steps=1, steps=TRIAL_STEPS, min_seconds=None)
    with launch.anew():  # its start-up time is that of a user's program
        observed = host.run(trial, context).observed
    if way.precision == "int8" and not observed.graph["int8_layers"]:
        raise RequestError(
            f"{plan.graph.path}: nothing in this graph computes in int8, so float32 would be "
            "measured; make its int8 graph (quantize()), and give that as another model"
        )
    return dataclasses.replace(
        way,
        peak_memory_bytes=observed.machine["process"]["peak_memory_bytes"],
        startup_seconds=sum(observed.setup_seconds.values()),
        agreement=observed.graph.get("agreement", {}),
    )


def scored(way: Way, shared: dict[str, Any], limit: int | None, context: Context) -> Way:
    """The way with its scores on the data."""
    known = inspect.signature(verbs.accuracy).parameters
    given = {name: value for name, value in shared.items() if name in known}
    result = verbs.accuracy(
        **given,
        runtime=way.runtime,
        precision=way.precision,  # type: ignore[arg-type]
        limit=limit,
        offline=context.offline,
        progress=context.callback or False,
        isolation="child",
    )
    return dataclasses.replace(
        way, scores=result.scores, counts=result.counts, examples=result.examples
    )
