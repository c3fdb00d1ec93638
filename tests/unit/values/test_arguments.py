"""The arguments of the public functions: each is described, and goes where it belongs."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from modelzoo_runner import accuracy, benchmark, calibration_batches, int8_report
from modelzoo_runner.planning.request import Request
from modelzoo_runner.values.arguments import GROUPS, documented
from modelzoo_runner.values.options import RunOptions, run_options
from modelzoo_runner.values.plan import Plan

NOT_IN_A_REQUEST = {"model", "offline", "progress", "client", "checkpoint", "doctor"}


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("function", [benchmark, accuracy, calibration_batches, int8_report])
def test_the_docstring_describes_every_argument_in_the_order_of_the_signature(
    function: Any,
) -> None:
    section = (function.__doc__ or "").split("Args:\n")[1].split("\n\n")[0]
    lines = section.splitlines()
    assert [
        line.split(":")[0].strip() for line in lines if not line.startswith("     ")
    ] == parameters(function)
    assert max(map(len, lines)) <= 96
    assert "as in `" not in section
    assert function.__doc__.index("Args:") < function.__doc__.index("Raises:")


def test_an_argument_that_nobody_describes_is_an_error() -> None:
    def function(unheard_of: int) -> None:
        """Do nothing."""

    with pytest.raises(KeyError, match="unheard_of"):
        documented()(function)


def test_every_argument_of_a_run_is_in_the_request_and_the_other_way_round() -> None:
    """`Request.of` takes from the arguments what has the name of a field."""
    fields = {each.name for each in dataclasses.fields(Request)} - {"kind"}
    assert {*parameters(benchmark), *parameters(accuracy)} - NOT_IN_A_REQUEST == fields
    others = NOT_IN_A_REQUEST | {"examples", "synthetic"}
    assert set(parameters(calibration_batches)) - others <= fields


def test_the_groups_hold_every_argument_once() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names))
    assert {*parameters(benchmark), *parameters(accuracy)} - {"model", "progress"} <= set(names)


def test_a_request_and_a_plan_share_options() -> None:
    assert issubclass(Request, RunOptions) and issubclass(Plan, RunOptions)
    request = Request(kind="benchmark", seed=7, stream=True)
    assert run_options(request) == run_options(RunOptions(kind="benchmark", seed=7, stream=True))


def test_the_arguments_of_a_call_make_a_request() -> None:
    given = {"model": "m", "progress": None, "weights": "a.pb", "env": None, "predictions": ""}
    assert Request.of("accuracy", given) == Request(kind="accuracy", weights="a.pb")
