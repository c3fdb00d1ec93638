"""Whether there is room in memory: by arithmetic, and where there really isn't."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import control_groups
import pytest
import tiny

from modelzoo_runner.errors import BindingError
from modelzoo_runner.execution import room
from modelzoo_runner.values.plan import GraphFile, Placement, Plan
from modelzoo_runner.values.preset import Preprocess

GIB = 2**30
PLACE = Placement(inter_threads=1, intra_threads=1)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "graph.pb"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    return Plan(
        kind="benchmark",
        model="m",
        task="classification",
        precision="fp32",
        goal="throughput",
        graph=GraphFile(source="path", path=str(path)),
        preprocess=Preprocess(size=(256, 256), resize="shorter_side", resize_to=256),
        batch_size=128,
        placement=PLACE,
        instances=(PLACE,) * 4,
    )


def test_an_instance_has_a_process_weights_and_batches(plan: Plan) -> None:
    batches = 4 * 128 * 256 * 256 * 3 * 4
    assert room.least_bytes(plan) == room.BARE + 3 * 100 * 2**20 + batches
    assert room.least_bytes(replace(plan, data_location="/data")) == room.BARE + 3 * 100 * 2**20


def test_what_fits_passes(plan: Plan) -> None:
    room.check(plan, 4 * GIB)
    room.check(plan, None)


@pytest.mark.parametrize(
    ("available", "advice"),
    [(2 * GIB, "ask for 2 or fewer"), (GIB // 2, "there isn't room for one")],
)
def test_what_does_not_fit_is_refused_with_what_would(
    plan: Plan, available: int, advice: str
) -> None:
    with pytest.raises(BindingError) as caught:
        room.check(plan, available)
    assert str(caught.value) == (
        "instances: 4 of them need at least 3.5 GiB of memory (0.9 GiB each), and "
        f"{available / GIB:.1f} GiB are available here: {advice}, or use a smaller batch_size"
    )


LIMITED = """
import json, sys
from pathlib import Path

group = Path(sys.argv[1])
limit = next(each for each in map(group.joinpath, LIMITS) if each.exists())
limit.write_text(str(300 * 2**20))
(group / "cgroup.procs").write_text("0")

from modelzoo_runner import RunnerError, benchmark

said = []
for asked in ({"batch_size": 4096, "isolation": "child"}, {"batch_size": 1, "instances": 2}):
    try:
        benchmark(sys.argv[2], steps=3, **asked)
    except RunnerError as error:
        said.append(f"{type(error).__name__}: {error}")
print(json.dumps(said))
"""


def test_where_memory_really_runs_out(tmp_path: Path) -> None:
    """Writes to the control groups: runs where that is allowed."""
    names = ("memory.limit_in_bytes", "memory.max")
    graph = tiny.classifier(tmp_path / "graph.pb", size=(224, 224))
    with control_groups.made("memory", *names) as group:
        done = subprocess.run(
            [sys.executable, "-c", f"LIMITS = {names}\n{LIMITED}", group, graph],
            capture_output=True,
            text=True,
            check=False,
        )
    control_groups.skip_if_refused(done.stderr)
    assert done.returncode == 0, done.stderr
    killed, refused = json.loads(done.stdout)
    assert killed.startswith(
        "WorkerError: the child process that ran the plan was killed by SIGKILL, as the system "
        "does when memory runs out (largest child so far: 0."
    )
    assert " of 0.3 GiB allowed). batch_size=4096: try 2048. " in killed
    assert refused.startswith(
        "BindingError: instances: 2 of them need at least 0.4 GiB of memory (0.2 GiB each), and "
    )
    assert refused.endswith("available here: ask for 1 or fewer, or use a smaller batch_size")
