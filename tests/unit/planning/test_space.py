"""The settings there are to choose from, by machine and objective."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from results_made import plan

from modelzoo_runner.machine import allocator, processor
from modelzoo_runner.machine.topology import Cpu, Topology
from modelzoo_runner.planning import space
from modelzoo_runner.values.plan import Placement

WAYS = [("tensorflow", "fp32"), ("openvino", "fp32")]


def machine(cores: int, sockets: int = 1, **changes: Any) -> Topology:
    """So many cores with two CPUs each."""
    cpus = tuple(
        Cpu(id=id, core=id % cores, socket=id % cores * sockets // cores, node=None)
        for id in range(2 * cores)
    )
    return Topology(cpus=cpus, affinity=tuple(range(2 * cores)), **changes)


def made(cores: int = 8, here: Topology | None = None, **given: Any) -> space.Space:
    placement = Placement(cpus=tuple(range(cores)), inter_threads=1, intra_threads=cores)
    own = plan(placement=placement, batch_size=given.pop("batch_size", 128))
    given = {"objective": "throughput", "ways": WAYS, **given}
    return space.of(own, here or machine(cores), **given)


@pytest.fixture(autouse=True)
def _mallocs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "available", lambda: ("tcmalloc",))


def test_throughput_has_instances_and_batch_sizes() -> None:
    axes = made().axes
    assert axes["runtime"] == ({}, {"runtime": "openvino"})
    instances = [each.get("instances") for each in axes["cores"]]
    assert instances == [None, None, 2, 4, 8]
    assert axes["cores"][:2] == ({}, {"num_intra_threads": 4})
    assert [each.get("batch_size") for each in axes["batch_size"]] == [None, 1, 4, 16, 64]
    assert axes["allocator"] == ({}, {"allocator": "tcmalloc"})
    assert axes["num_inter_threads"] == ({}, {"num_inter_threads": 2})
    assert axes["calling_thread"] == ({}, {"env": space.CALLING_THREAD})
    assert "calling_thread" not in made(fixed=["env"]).axes


def test_latency_has_threads_and_one_batch_size() -> None:
    axes = made(objective="latency", batch_size=1).axes
    assert axes["cores"] == ({}, *({"num_intra_threads": count} for count in (4, 2, 1)))
    assert axes["batch_size"] == ({},)


def test_sockets_are_instances_too() -> None:
    found = made(6, machine(6, sockets=2)).axes["cores"]
    assert {"instances": 2} in found and {"instances": 6} in found


def test_a_quota_is_not_exceeded() -> None:
    found = made(here=machine(8, quota=2.5)).axes["cores"]
    assert found == (
        {},
        {"num_cores": 2},
        {"num_cores": 2, "num_intra_threads": 1},
        {"num_cores": 2, "instances": 2},
    )


def test_what_the_caller_decided_is_not_searched() -> None:
    axes = made(fixed=["num_intra_threads", "batch_size", "allocator", "weights"]).axes
    assert set(axes) == {"runtime", "num_inter_threads", "calling_thread"}


def test_the_default_is_what_the_caller_does_not_exclude() -> None:
    assert made().default == {}
    assert made(ways=[("openvino", "int8")]).default == {"runtime": "openvino", "precision": "int8"}
    found = made(batch_sizes=[8, 2])
    assert found.default == {"batch_size": 8}
    assert made(ways=WAYS[::-1]).axes["runtime"][0] == {}


def test_the_search_begins_with_a_moderate_batch() -> None:
    assert made().start(128) == {"batch_size": 16}
    assert made(batch_size=16).start(16) == {}
    assert made(batch_sizes=[64, 32]).start(128) == {"batch_size": 32}
    assert made(fixed=["batch_size"]).start(128) == {}


def test_choices_differ_in_one_setting_and_can_be() -> None:
    found = made()
    at = {"runtime": "openvino", "batch_size": 4}
    assert found.choices(at, "batch_size")[1] == {"runtime": "openvino", "batch_size": 1}
    assert found.choices(at, "allocator") == [at]
    assert found.choices(at, "num_inter_threads") == [at]
    assert found.choices({"num_inter_threads": 2}, "runtime") == [{"num_inter_threads": 2}]
    assert len(found.every()) == 5 * 5 * (2 * 2 * 2 + 1)


def test_precisions_without_data_leave_int8_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "flags", lambda: frozenset({"avx2"}))
    assert space.precisions(False) == ("fp32",)
    assert space.precisions(True) == ("fp32", "int8")
    monkeypatch.setattr(processor, "flags", lambda: frozenset({"avx512_bf16"}))
    assert space.precisions(False) == ("fp32", "bfloat16")


def test_runtimes_are_those_installed() -> None:
    assert "tensorflow" in space.runtimes()
    assert dataclasses.asdict(made())["runtime"] == "tensorflow"
