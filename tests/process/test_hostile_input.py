"""Hostile input ends in a result or in one of the library's errors, in bounded time and memory.

A few cases of each kind, always the same; `benchmarks/hostile.py` does as many as one likes.
"""

from __future__ import annotations

import hostile_input
import hostile_worker
import pytest

WITH_TENSORFLOW = hostile_input.WITH_TENSORFLOW
OTHERS = tuple(each for each in hostile_input.AREAS if each not in WITH_TENSORFLOW)


@pytest.mark.parametrize(("areas", "cases"), [(WITH_TENSORFLOW, 120), (OTHERS, 240)])
def test_every_case_ends_as_it_should(areas: tuple[str, ...], cases: int) -> None:
    found = hostile_worker.run(",".join(areas), range(cases), seed=0)
    assert not found.bad, found.bad
    assert found.outcomes["typed"] + found.outcomes["ran"] == cases
    assert min(found.outcomes["typed"], found.outcomes["ran"]) > cases / 20


def test_what_should_not_be_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    found = hostile_worker.run("faults", range(5), seed=0, seconds=2.0)
    assert found.outcomes == {"raw": 2, "died": 1, "endless": 1, "typed": 1}
    assert any("MemoryError" in what for what in found.bad)
