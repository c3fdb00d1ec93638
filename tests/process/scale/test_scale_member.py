"""A worker of a group, without a cluster around it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import fake_task
import pytest

from modelzoo_runner.machine import topology
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.scale import cores
from modelzoo_runner.scale.member import Job, Member, packed
from modelzoo_runner.values.context import Context


@pytest.mark.skipif(len(topology.read().cores()) < 2, reason="this process may use one core only")
@pytest.mark.usefixtures("fakes")
def test_it_leaves_the_cores_that_a_run_does_not_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    given = fake_task.arguments(tmp_path / "given", examples=12)
    request = Request.of("accuracy", given | {"batch_size": 2, "num_cores": 1})
    preset, request = planner.preset_for(given["model"], request)
    job = Job(preset=preset, request=request, context=Context())
    others = topology.read().usable[1:]
    member = Member({})
    try:
        with cores.claimed([others]):  # it would wait for them without end
            member.prepare(job)
            part = member.part(packed(job), (4, 10))
    finally:
        member.end()
    assert part.examples == 6
    assert not set(part.plan.placement.cpus) & set(others)
