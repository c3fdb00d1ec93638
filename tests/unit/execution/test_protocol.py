"""What a worker and its parent say to each other."""

from __future__ import annotations

import json

import pytest
from results_made import PLAN

from modelzoo_runner.errors import WorkerError
from modelzoo_runner.execution import protocol


def test_a_plan_travels_as_a_line() -> None:
    line = protocol.plan_line(PLAN)
    assert "\n" not in line and protocol.read_plan(line) == PLAN


def test_a_plan_of_another_version_is_told_from_a_broken_worker() -> None:
    line = json.dumps({**json.loads(protocol.plan_line(PLAN)), "colour": "red"})
    with pytest.raises(WorkerError, match=r"doesn't know such a plan.*'colour'.*same version"):
        protocol.read_plan(line)
