"""From what a request wishes to the part of this machine that its run gets.

The machine's room knows how; this asks it in the request's words.
"""

from __future__ import annotations

import dataclasses
import functools
import os

from modelzoo_runner.errors import BindingError

# Loaded now and not when it is first used: the room has the name of the public function `machine`,
# and loading it later would put the room in the function's place.
from modelzoo_runner.machine import topology
from modelzoo_runner.machine.topology import Topology
from modelzoo_runner.planning import graph_files
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values.plan import Placement
from modelzoo_runner.values.preset import Preset, Threads


def machine() -> Topology:
    """The CPUs, cores, sockets and memory nodes here, and what this process may use of them.

    Printed, it is a table and a picture in text.

    Raises:
        BindingError: this process may not run on any CPU that is there.

    Example:
        >>> from modelzoo_runner import machine
        >>> len(machine().usable) >= 1
        True
    """
    return topology.read()


def placements(preset: Preset, request: Request) -> tuple[Placement, tuple[Placement, ...]]:
    """Where the run goes, and where each of its instances if it has several.

    Raises:
        RequestError: a wish that no machine could honour.
        BindingError: one that this machine, or this process's part of it, can't honour.
    """
    from modelzoo_runner.machine import allocator, placement, processor, splitting

    precision = graph_files.graph_precision(request.precision)
    threads = preset.threads.get(precision, Threads())
    here = machine()
    choose = functools.partial(
        placement.choose,
        here,
        threads,
        preset.env.get(precision, {}),
        goal="accuracy" if request.kind == "accuracy" else request.goal,  # type: ignore[arg-type]
        num_inter_threads=request.num_inter_threads,
        num_intra_threads=request.num_intra_threads,
        allocator=request.allocator,  # type: ignore[arg-type]
        binding=request.binding,  # type: ignore[arg-type]
        strict=request.strict,
        env=request.env,
        environ=os.environ,
        # What there is in a container's image is seen in there.
        allocators=None if request.docker_image or not threads.allocator else allocator.available(),
    )
    placed = choose(
        socket_id=request.socket_id,
        numa_node=request.numa_node,
        cpus=request.cpus,
        num_cores=request.num_cores,
    )
    if request.precision == "bfloat16":
        said = processor.bfloat16_warnings(processor.flags())
        if said and request.strict:
            raise BindingError("; ".join(said))
        placed = dataclasses.replace(placed, warnings=placed.warnings + said)
    if request.instances is None and request.cores_per_instance is None:
        return placed, ()
    parts = splitting.split(here, placed.cpus, request.instances, request.cores_per_instance)  # type: ignore[arg-type]
    each = tuple(choose(cpus=part) for part in parts)
    return splitting.together(here, placed, each), each
