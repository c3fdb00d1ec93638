"""Whether workers of a cluster can do one thing together: same versions, and cores for each."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from modelzoo_runner.errors import BindingError
from modelzoo_runner.machine import facts
from modelzoo_runner.machine.cpulist import parse_cpu_list
from modelzoo_runner.scale import cluster_worker
from modelzoo_runner.scale.cluster_worker import Seat


def versions(client: Any, addresses: Sequence[str]) -> dict[str, str | None]:
    """The versions that all workers have, and this process too as far as it has the package.

    Raises:
        BindingError: naming the workers that have others.
    """
    # First what is installed, for which this library isn't needed there.
    installed = client.get_versions(packages=["modelzoo_runner", *facts.DISTRIBUTIONS])
    check_alike(
        _installed(installed["client"]),
        {address: _installed(installed["workers"].get(address)) for address in addresses},
    )
    return check_alike(
        cluster_worker.versions(), client.run(cluster_worker.versions, workers=list(addresses))
    )


def _installed(found: Mapping[str, Any] | None) -> dict[str, str | None]:
    packages: Mapping[str, str | None] = {} if found is None else found["packages"]
    tensorflow = (packages.get(each) for each in facts.DISTRIBUTIONS)
    return {
        "python": ".".join((packages.get("python") or "").split(".")[:2]),
        "modelzoo_runner": packages.get("modelzoo_runner"),
        "tensorflow": next(filter(None, tensorflow), None),
        "numpy": packages.get("numpy"),
    }


def check_alike(
    here: Mapping[str, str | None], there: Mapping[str, Mapping[str, str | None]]
) -> dict[str, str | None]:
    """The versions of each package, if they are the same here and on all workers.

    Raises:
        BindingError: naming the workers that have others.
    """
    first = next(iter(there))
    # Who only asks needs no TensorFlow.
    wanted = {name: version or there[first][name] for name, version in here.items()}
    wrong = [
        f"worker {address} has {name} {own[name] or 'not at all'}, and "
        f"{'here' if here[name] else f'worker {first}'} it is {version}"
        for address, own in there.items()
        for name, version in wanted.items()
        if own[name] != version
    ]
    if wrong:
        raise BindingError(
            f"client=: {'; '.join(wrong)}. One result would be of different programs: install the "
            "same on all workers"
        )
    return wanted


def shares(seats: Mapping[str, Seat]) -> dict[str, int]:
    """Into how many parts the CPUs of each seat are divided: one for each worker that has them.

    Raises:
        BindingError: more workers than cores, or workers of which one may use some of another's.
    """
    workers = Counter(seat.key for seat in seats.values())
    for address, seat in seats.items():
        if workers[seat.key] > seat.cores:
            raise BindingError(
                f"client=: {workers[seat.key]} workers, {address} among them, share "
                f"{seat.cores} physical core{'' if seat.cores == 1 else 's'} (CPUs {seat.cpus}): "
                "start no more workers on a node than it has cores"
            )
    for (one, seat), (other, beside) in itertools.combinations(seats.items(), 2):
        common = set(parse_cpu_list(seat.cpus)) & set(parse_cpu_list(beside.cpus))
        if seat.node == beside.node and seat.cpus != beside.cpus and common:
            raise BindingError(
                f"client=: worker {one} may use CPUs {seat.cpus}, and worker {other} of the same "
                f"node CPUs {beside.cpus}: start them on the same CPUs, to have these divided, or "
                "on different ones"
            )
    return dict(workers)
