from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from modelzoo_runner import (
    accuracy,
    benchmark,
    calibration_batches,
    inspect_graph,
    int8_report,
    quantize,
)
from modelzoo_runner.cli import options

if TYPE_CHECKING:
    from numpy.typing import NDArray


def example(
    model: str,
    *,
    steps: int | None = None,
    seconds: float = 1.5,
    quick: bool = True,
    goal: Literal["a", "b"] = "a",
    env: Mapping[str, str] | None = None,
    shape: tuple[int, ...] | None = None,
    place: str | Path | None = None,
    many: int | Literal["all"] | None = None,
    words: Collection[str] = (),
    array: NDArray[Any] | None = None,
    hidden: int = 3,
) -> None:
    """Does nothing.

    Args:
        model: which.
        steps: how many, 100 % of
            them.
        seconds: how long.
        quick: whether.
        goal: what for.
        env: variables.
        shape: of one.
        place: where.
        many: how many, or a word.
        words: some.
        array: of numbers.
        hidden: not shown.

    Raises:
        Nothing: ever.
    """


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    options.add(parser, example, leave_out=("hidden",))
    return parser


def test_options_have_the_arguments_names_types_and_defaults(
    parser: argparse.ArgumentParser,
) -> None:
    words = (
        "--steps 3 --seconds 2 --no-quick --goal b --shape 2,3 --place x --many all "
        "--env A=1=2 --env B= --words a,b"
    )
    asked = parser.parse_args(words.split())
    assert vars(asked) == {
        "steps": 3,
        "seconds": 2.0,
        "quick": False,
        "goal": "b",
        "env": {"A": "1=2", "B": ""},
        "shape": (2, 3),
        "place": "x",
        "many": "all",
        "words": ("a", "b"),
        "array": None,
    }
    assert parser.parse_args([]).seconds == 1.5
    assert parser.parse_args(["--many", "4"]).many == 4


def test_help_is_the_docstrings(parser: argparse.ArgumentParser) -> None:
    text = " ".join(parser.format_help().split())
    assert "how many, 100 % of them." in text
    assert "how long. (default: 1.5)" in text
    assert "some. --array" in text


def test_a_pair_needs_a_name_and_a_sign(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parser.parse_args(["--env", "A"])
    assert raised.value.code == 2
    assert "--env 'A': should be NAME=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "function", [benchmark, accuracy, calibration_batches, int8_report, quantize]
)
def test_every_argument_of_the_verbs_is_described(function: object) -> None:
    import inspect

    said = options.described(function)  # type: ignore[arg-type]
    assert set(said) == set(inspect.signature(function).parameters)  # type: ignore[arg-type]
    assert all(said.values())


def test_a_former_name_works_and_is_not_shown(parser: argparse.ArgumentParser) -> None:
    options.add(parser, inspect_graph, leave_out=())
    assert parser.parse_args([]).allow_unsafe_ops is False
    assert parser.parse_args(["--trust"]).allow_unsafe_ops is True
    assert "--trust" not in parser.format_help()
