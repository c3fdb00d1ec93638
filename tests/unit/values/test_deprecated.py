"""Former names of arguments."""

from __future__ import annotations

import inspect

import pytest

import modelzoo_runner
from modelzoo_runner.errors import RequestError
from modelzoo_runner.values import preset, presets
from modelzoo_runner.values.deprecated import accepts_former_names


@accepts_former_names
def function(model: str, *, allow_unsafe_ops: bool = False) -> tuple[str, bool]:
    return model, allow_unsafe_ops


def test_the_former_name_does_the_same_and_warns_where_it_is_used() -> None:
    with pytest.warns(DeprecationWarning, match="allow_unsafe_ops") as caught:
        assert function("m", trust=True) == ("m", True)  # type: ignore[call-arg]
    assert caught[0].filename == __file__
    assert function("m", allow_unsafe_ops=True) == ("m", True)


def test_an_argument_of_another_function_says_whose_it_is() -> None:
    with pytest.raises(RequestError, match=r"checkpoint='c'.*belongs to accuracy\(\)$"):
        modelzoo_runner.benchmark("m", checkpoint="c")  # type: ignore[call-arg]
    with pytest.raises(RequestError, match=r"modle='m'.*Did you mean 'model'"):
        function(modle="m")  # type: ignore[call-arg]
    with pytest.raises(RequestError, match=r"zz=1.*Its arguments: model, allow_unsafe_ops$"):
        function("m", zz=1)  # type: ignore[call-arg]


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(RequestError, match=r"trust=True.*allow_unsafe_ops"):
        function("m", trust=True, allow_unsafe_ops=False)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "name",
    (
        "benchmark",
        "accuracy",
        "calibration_batches",
        "int8_report",
        "quantize",
        "inspect_graph",
    ),
)
def test_every_public_function_that_had_it_takes_it(name: str) -> None:
    function = getattr(modelzoo_runner, name)
    assert "allow_unsafe_ops" in inspect.signature(function).parameters
    assert "trust" not in inspect.signature(function).parameters
    with pytest.raises(RequestError, match="former name"):
        function("m", trust=True, allow_unsafe_ops=True)


def test_a_preset_is_read_by_the_former_name_too() -> None:
    with pytest.warns(DeprecationWarning, match="presets"):
        assert preset.read is presets.read
    with pytest.raises(AttributeError, match="no attribute 'fetch'"):
        _ = preset.fetch
