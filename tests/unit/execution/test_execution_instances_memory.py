"""Whether several instances fit in memory, by arithmetic."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelzoo_runner.errors import BindingError
from modelzoo_runner.execution import instances
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


def test_what_fits_passes(plan: Plan) -> None:
    instances.require_memory(plan, 4 * GIB)
    instances.require_memory(plan, None)


@pytest.mark.parametrize(
    ("available", "advice"),
    [(2 * GIB, "ask for 2 or fewer"), (GIB // 2, "there isn't room for one")],
)
def test_what_does_not_fit_is_refused_with_what_would(
    plan: Plan, available: int, advice: str
) -> None:
    with pytest.raises(BindingError) as caught:
        instances.require_memory(plan, available)
    assert str(caught.value) == (
        "instances: 4 of them need at least 3.5 GiB of memory (0.9 GiB each), and "
        f"{available / GIB:.1f} GiB are available here: {advice}, or use a smaller batch_size"
    )
