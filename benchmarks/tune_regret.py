"""What tune() loses against an exhaustive search: how much slower what it found is.

    python benchmarks/tune_regret.py [MODEL ...] [--objective throughput|latency] [--budget 300]
                                     [--batch-sizes 1 4 16 64] [--allocator system]
                                     [--runtimes tensorflow ...]

Random weights. tune() searches within its budget. Then all combinations of the same settings are
measured, and of what is measured the better half again, until three are left, which are measured
twice more. The best of both ways is then measured in turns in fresh processes. Printed are the
calls, the time each took, and the ratio.
"""

from __future__ import annotations

import argparse
from typing import Any

from modelzoo_runner import tune
from modelzoo_runner.api import tune as tuning
from modelzoo_runner.api.halving import LAST_HEATS, Search
from modelzoo_runner.api.heats import Bench
from modelzoo_runner.machine import topology
from modelzoo_runner.planning import space
from modelzoo_runner.results.tune import gain, named
from modelzoo_runner.values.context import Context

AGES = 1e6
"""Seconds: the exhaustive search has no budget."""


def main() -> None:
    """Search and print, as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=["mobilenet_v1", "resnet50"])
    parser.add_argument("--objective", default="throughput")
    parser.add_argument("--budget", type=float, default=300.0)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--allocator")
    parser.add_argument("--runtimes", nargs="+", default=list(space.runtimes()))
    asked = parser.parse_args()
    for model in asked.models:
        compare(model, asked)


def compare(model: str, asked: argparse.Namespace) -> None:
    """Both searches of a model, and what they found against each other."""
    shared: dict[str, Any] = {"weights": "random", "num_inter_threads": 1}
    if asked.allocator is not None:
        shared["allocator"] = asked.allocator
    sizes = [1] if asked.objective == "latency" else asked.batch_sizes
    found = tune(
        model,
        objective=asked.objective,
        budget=asked.budget,
        runtimes=asked.runtimes,
        precisions=["fp32"],
        batch_sizes=sizes,
        **shared,
    )
    print(found, flush=True)
    planned = tuning.Planned(model, asked.objective, shared, Context())
    first = planned.resolved({})
    every = space.of(
        first,
        topology.read(),
        objective=asked.objective,
        ways=[(runtime, "fp32") for runtime in asked.runtimes],
        batch_sizes=sizes,
        fixed=shared,
    )
    bench = Bench(plan_of=planned.plan, budget=AGES, context=Context())
    search = Search(space=every, objective=asked.objective, make=bench.make, measure=bench.measure)
    search.halved([every.start(first.batch_size)])
    left = [search.tried[name] for name in search.halved(every.every())]
    for _ in range(LAST_HEATS):
        left = list(bench.measure(left, 2))
        search.tried.update({each.name: each for each in left})
    best = search.tried[search.best() or ""]
    ours = search.tried[search.add(found.tried[found.best].settings)]
    print(
        f"{model} {asked.objective}: tune {found.seconds:.0f} s, {len(found.tried)} settings: "
        f"{ours.name}; exhaustive {bench.spent:.0f} s, {len(search.tried)} settings: {best.name}"
    )
    if best.name == named(ours.settings):
        print("the same: regret 0 %", flush=True)
        return
    against = bench.confirmed(best, ours, {"min_effect": 0.01})
    if against is not None:
        print(f"tune's over the exhaustive's: {gain(against, asked.objective, best, ours)}")
        print(f"regret {100 * (1 - gain(against, asked.objective, best, ours).value):.1f} %")


if __name__ == "__main__":
    main()
