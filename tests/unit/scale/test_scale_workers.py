"""Whether workers can share a run: their versions, their cores, and claims on these."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelzoo_runner import BindingError
from modelzoo_runner.scale import cluster, cluster_worker, cores
from modelzoo_runner.scale.cluster_worker import WorkerGroup
from modelzoo_runner.scale.member import WorkerInfo


def test_versions_that_the_client_lacks_are_those_of_the_first_worker() -> None:
    here = {"tensorflow": None, "numpy": "2.0"}
    there = {"a": {"tensorflow": "2.16", "numpy": "2.0"}}
    assert cluster.check_alike(here, there) == {"tensorflow": "2.16", "numpy": "2.0"}
    there["b"] = {"tensorflow": "2.21", "numpy": None}
    with pytest.raises(BindingError) as raised:
        cluster.check_alike(here, there)
    for said in (
        "b has tensorflow 2.21, and worker a it is 2.16",
        "b has numpy not at all, and here",
    ):
        assert f"worker {said}" in str(raised.value)


def test_a_worker_that_joins_later_with_other_versions_is_none_of_the_group() -> None:
    with pytest.raises(BindingError, match=r"^numpy \d.*0\.1"):
        cluster_worker.join(WorkerGroup(name="group", versions={"numpy": "0.1"}))
    assert "group" not in cluster_worker._members


def workers(*cpus: str, node: str = "n") -> dict[str, WorkerInfo]:
    return {f"w{i}": WorkerInfo(node=node, cpus=each, cores=2) for i, each in enumerate(cpus)}


def test_workers_that_have_the_same_cpus_share_them() -> None:
    assert cluster.core_shares(workers("0-1", "0-1")) == {"n 0-1": 2}
    assert cluster.core_shares(workers("0-1", "2-3")) == {"n 0-1": 1, "n 2-3": 1}
    elsewhere = {"x": WorkerInfo(node="m", cpus="0-1", cores=2)}
    assert cluster.core_shares(workers("0-1") | elsewhere) == {"n 0-1": 1, "m 0-1": 1}


def test_workers_that_cannot_share_are_refused() -> None:
    with pytest.raises(BindingError, match=r"3 workers, w0 .*2 physical cores \(CPUs 0-1\)"):
        cluster.core_shares(workers("0-1", "0-1", "0-1"))
    with pytest.raises(BindingError, match=r"w0 may use CPUs 0-2, .*w1 .*CPUs 2-3"):
        cluster.core_shares(workers("0-2", "2-3"))


def test_a_claim_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(cores.tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(BindingError) as raised, cores.claimed([(0,)]):
        pass
    folder = tmp_path / "file" / f"modelzoo_runner-{os.getuid()}"
    for said in (str(folder), "Not a directory", "TMPDIR"):
        assert said in str(raised.value)
