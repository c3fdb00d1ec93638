"""What a pod of Kubernetes gets, whoever makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values.plan import Placement

IMAGE = "modelzoo-runner:latest"

SECRETS = "/var/secrets/modelzoo-runner"
"""The folder that a pod's secret is mounted in."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """The pod of a step of a pipeline, or of a worker of a cluster.

    CPUs and memory are both request and limit: only then, and only if the CPUs are a whole number,
    does the kubelet's static CPU manager give a pod CPUs of its own.

    Attributes:
        image: the container's image, which holds this library with its extra `kubeflow`, or `dask`;
            in a pipeline it is pinned by its digest, if that is in the name or Docker on this
            machine knows it.
        placement: what a run gets, as `load("result.json").plan.placement`: as many CPUs are asked
            for.
        cpu: CPUs in Kubernetes' notation, where there is no placement; by default 24.
        memory: memory, in Kubernetes' notation.
        node_selector: labels that the node must have.
        data: persistent volume claim -> path where it is mounted to be read. KFP has no read-only
            mounts, so for a pipeline the claim must be `ReadOnlyMany`; a run on data that could be
            written to has a warning in its result.
        volumes: the same of what is written to, such as the cache.
        secret: a secret with `key.json`, a service account's key for private `gs://` data.
    """

    image: str = IMAGE
    placement: Placement | None = None
    cpu: str | None = None
    memory: str = "50G"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = None

    def __post_init__(self) -> None:
        if self.cpu is not None and self.placement is not None:
            raise RequestError(f"cpu={self.cpu!r}: and placement, which says how many; give one")

    @property
    def cpus(self) -> str:
        """Request and limit: a CPU for each of the placement's."""
        if self.placement is not None:
            return str(len(self.placement.cpus) or self.placement.intra_threads)
        return self.cpu or "24"


DEFAULT_POD = Pod()
