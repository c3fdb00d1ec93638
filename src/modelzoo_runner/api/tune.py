"""tune(): the settings with which a model runs fastest on this machine, found within a budget."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from modelzoo_runner._version import __version__
from modelzoo_runner.api import ab, calls, tune_steps
from modelzoo_runner.api.halving import Search
from modelzoo_runner.api.heats import Bench
from modelzoo_runner.backends import base
from modelzoo_runner.errors import DataRequired, Interrupted, RequestError
from modelzoo_runner.machine import facts, topology
from modelzoo_runner.planning import planner, space
from modelzoo_runner.planning.planner import Model
from modelzoo_runner.planning.request import Request, absolute
from modelzoo_runner.planning.space import Settings
from modelzoo_runner.results.runtimes import Way
from modelzoo_runner.results.tune import (
    Objective,
    TuneResult,
)
from modelzoo_runner.scale import checkpoint as checkpoints
from modelzoo_runner.values import bars, validate, words
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import with_new_names
from modelzoo_runner.values.options import Precision
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset
from modelzoo_runner.values.progress import Told

WARMUP_STEPS = 2
"""Beside the step before each turn, which isn't counted either."""

NOT_OF_TUNE = {
    **{
        name: why
        for name, why in ab.NOT_OF_A_SIDE.items()
        if name not in ("instances", "cores_per_instance")
    },
    "timeout": "budget= ends the search",
    "steps": "budget= says how long is measured",
    "min_seconds": "budget= says how long is measured",
    "processes": "every measurement is in fresh processes",
    "goal": "objective= says what counts",
    "precision": "give precisions=, a list",
    "runtime": "give runtimes=, a list",
}


@bars.shown
def tune(
    model: Model,
    *,
    objective: Objective = "throughput",
    max_latency: float | None = None,
    min_accuracy: float | None = None,
    budget: float = 300.0,
    runtimes: Sequence[str] | None = None,
    precisions: Sequence[Precision] | None = None,
    batch_sizes: Sequence[int] | None = None,
    data_location: str | Path | None = None,
    limit: int | None = None,
    min_effect: float = 0.01,
    client: Any | None = None,
    checkpoint: str | Path | None = None,
    offline: bool = False,
    progress: Told = None,
    **shared: Any,
) -> TuneResult:
    """The settings with which a model runs fastest on this machine.

    Searched are the runtime, the precision, several instances or one, threads, the batch size and
    the malloc, by successive halving: in each rung what is left is measured in turns beside a
    reference, in fresh processes, and the slower half is dropped. The best is then measured against
    the default, as `ab_test` does. See `docs/tuning.md`.

    Args:
        model: as `benchmark()` has it.
        objective: `"throughput"`: most examples a second; `"latency"`: the quickest step, of one
            instance and batch 1.
        max_latency: the longest a step may take, in seconds (its median).
        min_accuracy: the lowest score allowed on `data_location`: top-1, or a detector's AP.
        budget: seconds for all of it.
        runtimes: of `tensorflow`, `onnxruntime` and `openvino`; `None`: those installed.
        precisions: of `fp32`, `int8` and `bfloat16`; `None`: fp32, bfloat16 where the processor
            has it, and int8 where there is `data_location`.
        batch_sizes: those to try; `None`: 1, 4, 16, 64 and the preset's, or with
            `objective="latency"` the preset's alone, which is 1.
        data_location: labelled data, to score each runtime and precision on; also what int8 is
            calibrated with. What is measured has made inputs.
        limit: score so many examples.
        min_effect: the smallest gain that matters, as a share.
        client: a `distributed.Client`, or the address of a Dask scheduler: one of its workers does
            it all, with its node to itself (see `docs/scaling.md`). Default: here.
        checkpoint: a folder that keeps each measurement: another call goes on from there. With
            `client` it is the worker's folder, or in a store.
        offline: never touch the network.
        progress: `True` for bars, `False` for none, or a function, called with ("seconds", done,
            budget), and of what is built or fetched. `None`: bars in a notebook and in a terminal.
        **shared: arguments of `benchmark()` for all runs, such as `weights` and `cpus`. What is
            given here isn't searched, such as `batch_size` and `allocator`.

    Returns:
        The best call, what it gains over the default, and everything that was tried.

    Raises:
        RequestError: an argument that can't be, or nothing is as quick or as accurate as asked for.
        Interrupted: Ctrl-C while measuring; holds what was found by then.
        RunnerError: what running the default raises.

    Examples:
        >>> from modelzoo_runner import tune
        >>> tune("mobilenet_v1", weights="random", budget=120).python  # doctest: +SKIP
        'benchmark("mobilenet_v1", weights="random", batch_size=16, instances=2)'
    """
    validate.one_of("objective", objective, get_args(Objective))
    if min_accuracy is not None:
        min_accuracy = validate.share("min_accuracy", min_accuracy)
        if data_location is None:
            raise DataRequired(f"min_accuracy={min_accuracy}: needs data_location= to score on")
    seconds = validate.above_0("budget", budget, "a number of seconds above 0")
    shared = with_new_names(shared, stacklevel=3)
    ab.check_names(shared, NOT_OF_TUNE)
    if batch_sizes is not None:
        if "batch_size" in shared:
            raise RequestError("batch_sizes: not with batch_size=, which is held")
        batch_sizes = [
            validate.count("batch_sizes", each)
            for each in validate.some("batch_sizes", batch_sizes)
        ]
    for runtime in () if runtimes is None else validate.some("runtimes", runtimes):
        base.find(runtime)
    for precision in () if precisions is None else validate.some("precisions", precisions):
        validate.one_of("precisions", precision, get_args(Precision))
    limit = validate.optional_count("limit", limit)
    checkpoint = validate.optional_text("checkpoint", checkpoint)
    ends = ab.checked_ends(None, min_effect, seconds)
    max_latency = validate.seconds("max_latency", max_latency)
    if client is not None:
        given = {
            **{"objective": objective, "max_latency": max_latency, "min_accuracy": min_accuracy},
            **{"budget": seconds, "runtimes": runtimes, "precisions": precisions},
            **{"batch_sizes": batch_sizes, "data_location": data_location, "limit": limit},
            **{"min_effect": min_effect, "checkpoint": checkpoint, "offline": offline, **shared},
        }
        return _on_a_worker(client, model, given)
    context = Context(offline=offline, progress=progress).guarded()
    shared = {**shared, **({} if data_location is None else {"data_location": data_location})}
    planned = Planned(model, objective, shared, context)
    first = planned.resolved({})
    name = first.model if isinstance(model, Preset) else str(model)
    ways = [
        (runtime, precision)
        for runtime in runtimes or dict.fromkeys((first.runtime, *space.runtimes()))
        for precision in precisions or space.precisions(data_location is not None)
    ]
    here = topology.read()
    bench = Bench(plan_of=planned.plan, budget=seconds, context=context)
    plain = {name: calls.plain(value) for name, value in shared.items()}
    started = words.now()
    with contextlib.ExitStack() as stack:
        if checkpoint is not None:
            of = {
                **{"kind": "tune", "model": name, "objective": objective, "limit": limit},
                **{"arguments": plain, "files": calls.fingerprints({**shared, "model": model})},
                **{"ways": [" ".join(way) for way in ways], "batch_sizes": batch_sizes},
                **{"machine": facts.collect()["id"], "cpus": here.usable, "quota": here.quota},
                **{**facts.versions(), "modelzoo_runner": __version__},
            }
            bench.kept = stack.enter_context(checkpoints.opened(checkpoint, of))
        scores: tuple[Way, ...] = ()
        if data_location is not None:
            scores = tuple(tune_steps.scores(bench, ways, {**shared, "model": model}, limit))
        refused = {} if min_accuracy is None else dict(tune_steps.refused(scores, min_accuracy))
        search = Search(
            space=space.of(
                first,
                here,
                objective=objective,
                ways=[way for way in ways if way not in refused],
                batch_sizes=batch_sizes,
                fixed=shared,
            ),
            objective=objective,
            make=bench.make,
            measure=bench.measure,
            max_latency=max_latency,
        )
        end = tune_steps.searched(search, bench, first.batch_size, ends)
    names = list(search.tried)
    result = TuneResult(
        model=name,
        objective=objective,
        max_latency=max_latency,
        min_accuracy=min_accuracy,
        budget=seconds,
        seconds=bench.spent,
        started=started,
        shared=plain,
        tried=(*search.tried.values(), *refused.values()),
        default=names.index(end.default),
        best=names.index(end.best),
        challenger=names.index(end.challenger),
        scores=scores,
        confirmed=end.confirmed,
        complete=end.complete,
        interrupted=end.interrupted,
        warnings=(
            *end.warnings,
            *tune_steps.unknown(search.tried.values(), scores),
            *context.problems,
        ),
    )
    if result.interrupted:
        raise Interrupted(result, after=f"{bench.spent:.0f} s of tuning")
    return result


def _on_a_worker(client: Any, model: Model, given: Mapping[str, Any]) -> TuneResult:
    """What tune() comes to on a worker of a cluster, while nobody else uses its node.

    All of it is done on one: settings are compared in turns on one machine, and what is measured
    next depends on what was measured before.
    """
    from modelzoo_runner.scale import cluster, cluster_worker

    own = calls.for_elsewhere({"model": model, **given})
    if own["checkpoint"] is not None:
        own["checkpoint"] = absolute(str(own["checkpoint"]))
    do = functools.partial(tune, **own, progress=False)
    with (
        cluster.joined(client) as workers,
        workers.doing(cluster_worker.alone, {"tune": (do,)}) as answers,
    ):
        ((_, answer),) = answers
    if answer.error is not None:
        raise answer.error
    found: TuneResult = answer.value
    return found


@dataclass(frozen=True)
class Planned:
    """Makes plans of settings, with the arguments that all of them share."""

    model: Model
    objective: Objective
    shared: Settings
    context: Context

    def resolved(self, settings: Settings) -> Plan:
        """The plan before anything is fetched."""
        return planner.resolved(*self._asked(settings))

    def plan(self, settings: Settings) -> Plan:
        """The plan of one measurement: made inputs, since reading data is no setting."""
        plan = planner.plan(*self._asked(settings), self.context)
        return dataclasses.replace(plan, data_location=None, annotations=None, isolation="child")

    def _asked(self, settings: Settings) -> tuple[Preset, Request]:
        goal = {"goal": self.objective, "warmup_steps": WARMUP_STEPS}
        request = Request.of("benchmark", {**goal, **self.shared, **settings})
        return planner.preset_for(self.model, request)
