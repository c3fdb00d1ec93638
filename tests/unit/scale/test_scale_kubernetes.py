"""The object that a cluster on Kubernetes is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pods import POD

from modelzoo_runner.errors import RequestError
from modelzoo_runner.scale import kubernetes


@pytest.fixture
def made() -> dict[str, Any]:
    return kubernetes.dask_cluster("zoo", POD, workers=8)


def test_a_worker_asks_for_all_that_it_may_use(made: dict[str, Any]) -> None:
    (container,) = made["spec"]["worker"]["spec"]["containers"]
    asked = container["resources"]
    assert asked["requests"] == asked["limits"] == {"cpu": "8", "memory": "16G"}
    assert made["spec"]["worker"]["replicas"] == 8
    (scheduler,) = made["spec"]["scheduler"]["spec"]["containers"]
    assert scheduler["image"] == container["image"] == POD.image
    assert scheduler["resources"]["requests"] == scheduler["resources"]["limits"]


def test_data_is_only_read_and_the_key_is_found(made: dict[str, Any]) -> None:
    worker = made["spec"]["worker"]["spec"]
    (container,) = worker["containers"]
    mounts = {
        each["mountPath"]: (each["name"], each["readOnly"]) for each in container["volumeMounts"]
    }
    assert mounts["/data"] == ("imagenet", True) and mounts["/cache"] == ("cache", False)
    names = [each["name"] for each in worker["volumes"]]
    assert sorted(names) == sorted(name for name, _ in mounts.values())
    (variable,) = container["env"]
    folder, _, file = variable["value"].rpartition("/")
    assert variable["name"] == "GOOGLE_APPLICATION_CREDENTIALS" and file == "key.json"
    assert mounts[folder][1]


def test_no_two_workers_are_on_a_node(made: dict[str, Any]) -> None:
    apart = made["spec"]["worker"]["spec"]["affinity"]["podAntiAffinity"]
    (rule,) = apart["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = rule["labelSelector"]["matchLabels"]
    assert labels == {"dask.org/cluster-name": "zoo", "dask.org/component": "worker"}
    assert rule["topologyKey"] == "kubernetes.io/hostname"


def test_it_is_written_as_kubectl_takes_it(made: dict[str, Any], tmp_path: Path) -> None:
    path = kubernetes.write(made, tmp_path / "cluster.json")
    assert json.loads(path.read_text()) == made
    with pytest.raises(RequestError, match=r"^path='.*cluster.txt': should end in .json"):
        kubernetes.write(made, tmp_path / "cluster.txt")


@pytest.mark.parametrize("name", ["", "Zoo", "9zoo", "zoo-", "a.b", "a" * 51])
def test_a_name_that_no_service_can_have_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"^name="):
        kubernetes.dask_cluster(name, workers=1)


def test_a_cluster_has_workers() -> None:
    with pytest.raises(RequestError, match=r"^workers=0"):
        kubernetes.dask_cluster("zoo", workers=0)
