"""Several plans, each opened once in a child process of its own, measured in turns.

While one is measured the others sleep. What the durations come to isn't known here. `serve` is the
child's side, `opened` the parent's.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from modelzoo_runner import errors
from modelzoo_runner.errors import WorkerError
from modelzoo_runner.execution import launch, worker
from modelzoo_runner.execution.launch import Child
from modelzoo_runner.results.result import Observed
from modelzoo_runner.values import codec
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.progress import Progress


@dataclass(frozen=True)
class Contender:
    """A plan that is open and warm in a child process, and what was found when it was opened."""

    plan: Plan
    observed: Observed
    warnings: tuple[str, ...]
    child: Child

    def measure(self, seconds: float) -> tuple[float, ...]:
        """The durations of steps that take so many seconds together, at least one; the step before
        them, which finds the caches as another process left them, isn't counted.

        Raises:
            WorkerError: the child died.
            RunnerError: what the step raised, as the same class.
        """
        self.child.tell(repr(seconds))
        return tuple(_answer(self.child, "turn", None))


@contextlib.contextmanager
def opened(
    plan: Plan, *, name: str, python: str | None = None, progress: Progress | None = None
) -> Iterator[Contender]:
    """The plan in a child process, warmed up; the process is gone when the block ends.

    Args:
        plan: of a benchmark, of one instance, without a container.
        name: what it is called if it dies.
        python: the interpreter, where it isn't this one; it has to have this library.
        progress: told of what is done while the plan is opened.

    Raises:
        WorkerError: the child died.
        RunnerError: what opening raised, as the same class.
    """
    with launch.started(plan, worker.SERVE, python=python) as child:
        child.name = name
        found = _answer(child, "opened", progress)
        yield Contender(
            plan=codec.from_dict(found["plan"], Plan),
            observed=codec.from_dict(found["observed"], Observed),
            warnings=tuple(found["warnings"]),
            child=child,
        )


def _answer(child: Child, wanted: str, progress: Progress | None) -> Any:
    while True:
        messages = child.read()
        if messages is None:
            raise WorkerError(child.obituary())
        for message in messages:
            if "error" in message:
                raise errors.from_dict(message["error"])
            if "progress" in message and progress is not None:
                progress(*message["progress"])
            if wanted in message:
                return message[wanted]


def serve(plan: Plan, turns: Iterator[str], answer: Callable[..., None]) -> None:
    """Open the plan, warm up, and measure for as many seconds as each line of `turns` says.

    Raises:
        RunnerError: the graph, the data or the machine doesn't allow the run.
    """
    from modelzoo_runner.backends.tensorflow import thread_pools
    from modelzoo_runner.execution import loop, opening
    from modelzoo_runner.execution.opening import Start
    from modelzoo_runner.machine import binding, environment, facts
    from modelzoo_runner.tasks import source

    start = Start()
    with (
        environment.variables(plan.placement.env),
        binding.bound(plan.placement) as bound,
        contextlib.ExitStack() as stack,
    ):
        with start.timed("import"):
            import tensorflow  # noqa: F401 - its time is a part of the cold start

        placement = plan.placement
        pools = thread_pools.make(
            inter_threads=placement.inter_threads, intra_threads=placement.intra_threads
        )
        open_plan = stack.enter_context(opening.opened(plan, start))
        given = stack.enter_context(
            source.opened(open_plan.plan, open_plan.step, open_plan.prepare)
        )

        def measure(warmup_steps: int, seconds: float) -> tuple[float, ...]:
            return loop.run(
                open_plan.step,
                given.batches,
                warmup_steps=warmup_steps,
                steps=1,
                min_seconds=seconds,
            ).step_seconds

        measure(plan.warmup_steps, 0.0)
        threads = binding.read_back(placement)
        observed = Observed(
            host="child",
            host_reason="measured in turns with others",
            graph=open_plan.card,
            threads=codec.to_dict({**asdict(pools), "found": threads.summary()}),
            machine=codec.to_dict({**facts.collect(), "load_average_before": start.load_average}),
            setup_seconds=start.seconds,
            started=start.at,
        )
        answer(
            opened={
                "plan": codec.to_dict(replace(open_plan.plan, isolation="child")),
                "observed": codec.to_dict(observed),
                "warnings": [*given.warnings, *bound.warnings, *threads.warnings],
            }
        )
        # What is there now stays; nobody has to look for garbage in it before each turn.
        gc.freeze()
        for line in turns:
            answer(turn=measure(1, float(line)))
