"""A Dask cluster on Kubernetes, as the object that dask-kubernetes' operator makes it of.

Nothing of Kubernetes or of dask-kubernetes is needed to make the object, which is plain JSON.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import RequestError
from modelzoo_runner.scale.pod import DEFAULT_POD, SECRETS, Pod
from modelzoo_runner.values import atomic, validate

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?")
"""Of a service, and as short as the operator asks for: it adds to it."""

PORT, DASHBOARD = 8786, 8787

PORTS = {"tcp-comm": PORT, "http-dashboard": DASHBOARD}
"""The scheduler's, by the names that the operator looks for."""


def dask_cluster(
    name: str,
    pod: Pod = DEFAULT_POD,
    *,
    workers: int,
    scheduler_cpu: str = "2",
    scheduler_memory: str = "8G",
) -> dict[str, Any]:
    """A `DaskCluster`, for `kubectl apply` or for `KubeCluster(custom_cluster_spec=...)`.

    Its workers do one run at a time, each on a node of its own: two pods on one node would be
    measured in each other's way, and can't see each other's claims on its cores.

    Args:
        name: of the cluster; the scheduler is `tcp://NAME-scheduler:8786` in its namespace.
        pod: that of each worker; of the scheduler only the image counts.
        workers: how many.
        scheduler_cpu: CPUs of the scheduler's pod, in Kubernetes' notation.
        scheduler_memory: memory of the scheduler's pod.

    Raises:
        RequestError: a name that can't be a service's, or no workers.

    >>> made = dask_cluster("zoo", Pod(cpu="16", memory="32G"), workers=8)
    >>> made["kind"], made["spec"]["worker"]["replicas"]
    ('DaskCluster', 8)
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RequestError(
            f"name={name!r}: should be of small letters, digits and -, begin with a letter, end "
            "with none of -, and have at most 50 characters"
        )
    scheduler = {
        "name": "scheduler",
        "image": pod.image,
        "command": ["dask", "scheduler", "--host", "0.0.0.0", "--port", str(PORT)],
        "resources": _resources(scheduler_cpu, scheduler_memory),
        "ports": [
            {"name": each, "containerPort": port, "protocol": "TCP"} for each, port in PORTS.items()
        ],
        "readinessProbe": {"httpGet": {"port": "http-dashboard", "path": "/health"}},
        "livenessProbe": {
            "httpGet": {"port": "http-dashboard", "path": "/health"},
            "initialDelaySeconds": 15,
            "periodSeconds": 20,
        },
    }
    service = {
        "type": "ClusterIP",
        "selector": {"dask.org/cluster-name": name, "dask.org/component": "scheduler"},
        "ports": [
            {"name": each, "protocol": "TCP", "port": port, "targetPort": each}
            for each, port in PORTS.items()
        ],
    }
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name},
        "spec": {
            "worker": {
                "replicas": validate.count("workers", workers),
                "spec": _worker(name, pod),
            },
            "scheduler": {"spec": {"containers": [scheduler]}, "service": service},
        },
    }


def write(made: dict[str, Any], path: str | Path) -> Path:
    """Write the object as JSON, which `kubectl` reads as it reads YAML, and return its path.

    Raises:
        RequestError: the path doesn't end in .json, or can't be written.
    """
    path = Path(path).expanduser()
    if path.suffix != ".json":
        raise RequestError(f"path={str(path)!r}: should end in .json")
    atomic.write_text(atomic.target("path", str(path)), json.dumps(made, indent=1) + "\n")
    return path


def _worker(name: str, pod: Pod) -> dict[str, Any]:
    """The pod of a worker, which is its own nanny: Kubernetes starts it again."""
    claims = {**dict.fromkeys(pod.data.items(), True), **dict.fromkeys(pod.volumes.items(), False)}
    volumes: list[dict[str, Any]] = [
        {"name": claim, "persistentVolumeClaim": {"claimName": claim, "readOnly": is_read_only}}
        for (claim, _), is_read_only in claims.items()
    ]
    mounts: list[dict[str, Any]] = [
        {"name": claim, "mountPath": path, "readOnly": is_read_only}
        for (claim, path), is_read_only in claims.items()
    ]
    env = []
    if pod.secret is not None:
        volumes.append({"name": "service-account", "secret": {"secretName": pod.secret}})
        mounts.append({"name": "service-account", "mountPath": SECRETS, "readOnly": True})
        env.append({"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": f"{SECRETS}/key.json"})
    container = {
        "name": "worker",
        "image": pod.image,
        # The operator says in variables where the scheduler is, and how the worker is called.
        "command": ["dask", "worker", "--name", "$(DASK_WORKER_NAME)"],
        "args": ["--nthreads", "1", "--no-nanny", "--memory-limit", "0"],
        "env": env,
        "resources": _resources(pod.cpus, pod.memory),
        "volumeMounts": mounts,
    }
    alone = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {
            "matchLabels": {"dask.org/cluster-name": name, "dask.org/component": "worker"}
        },
    }
    return {
        "containers": [container],
        "nodeSelector": dict(pod.node_selector),
        "volumes": volumes,
        "affinity": {
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [alone]}
        },
    }


def _resources(cpu: str, memory: str) -> dict[str, Any]:
    return {what: {"cpu": cpu, "memory": memory} for what in ("requests", "limits")}
