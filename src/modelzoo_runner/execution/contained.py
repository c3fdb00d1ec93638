"""What is different for a worker in a container: whom it ends with, and what the image has."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

from modelzoo_runner.execution import host
from modelzoo_runner.machine import allocator
from modelzoo_runner.results.result import Result
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.progress import Progress


def run(plan: Plan, *, progress: Progress | None = None) -> Result:
    """The result of the plan, in this process or in a child of it.

    When standard input ends, nobody is there any more to answer: then this process ends, and with
    it its container.

    Raises:
        Interrupted: the container was told to stop; holds the result so far.
        RunnerError: as `host.run` does.
    """
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    return host.run(_with_what_the_image_has(plan), progress=progress)


def _end_with_standard_input() -> None:
    # Not through `sys.stdin`, whose lock a thread must not hold when the interpreter ends.
    while os.read(0, 1 << 10):
        pass
    os._exit(1)


def _with_what_the_image_has(plan: Plan) -> Plan:
    """The plan without a malloc that was only the preset's wish and isn't in the image."""
    placement = plan.placement
    wish = placement.why.get("allocator", "")
    malloc = placement.allocator
    if malloc == "system" or not wish.startswith("preset") or malloc in allocator.available():
        return plan
    said = f"{malloc}, which the preset asks for, isn't in the image: the system's malloc is used"
    own = replace(
        placement,
        allocator="system",
        why={**placement.why, "allocator": f"machine: {malloc} isn't in the image ({wish})"},
        warnings=(*placement.warnings, said),
    )
    each = tuple(replace(instance, allocator="system") for instance in plan.instances)
    return replace(plan, placement=own, instances=each)
