"""How the samples become steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from results_made import PLAN

from modelzoo_runner.data.samples import Samples
from modelzoo_runner.tasks.trials import Bench


@pytest.mark.parametrize(("only", "sizes"), [(None, [16, 4]), (8, [8, 8, 8])])
def test_a_short_last_step_is_filled_up_only_where_the_graph_needs_that(
    only: int | None, sizes: list[int]
) -> None:
    seen = []

    class Step:
        input_dtype = "float32"
        input_shape = (only, 2, 2, 3)

        def __call__(self, batch: Any) -> list[Any]:
            seen.append(len(batch))
            return [batch.reshape(len(batch), -1)]

        def close(self) -> None: ...

    plan = dataclasses.replace(
        PLAN, graph=dataclasses.replace(PLAN.graph, outputs={"scores": "scores:0"})
    )
    found = Samples(encoded=(), truth=np.zeros(0, np.int64), names=())
    inputs = np.arange(20 * 12, dtype=np.float32).reshape(20, 2, 2, 3)
    scores = Bench(plan, Step(), found).scores(inputs)
    assert (scores == inputs.reshape(20, 12)).all() and seen == sizes
