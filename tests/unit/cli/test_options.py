"""Functions as commands: types, defaults, help, and what is passed on."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from cyclopts import App, CycloptsError, Parameter
from hypothesis import given
from hypothesis import strategies as st

import modelzoo_runner
from modelzoo_runner.cli import options
from modelzoo_runner.cli.main import COMMANDS
from modelzoo_runner.legacy import pipeline as original

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
    progress: int = 3,
) -> None:
    """Does nothing.

    Args:
        model: which.
        steps: how many, 100 % of
            them.
        seconds: how `long`.
        quick: whether.
        goal: what for.
        env: variables.
        shape: of one.
        place: where.
        many: how many, or a word.
        words: some.
        array: of numbers.
        progress: not an option.

    Raises:
        Nothing: ever.
    """


PASSED: dict[str, Any] = {}


@options.like(example)
def command(model: str, /, *, own: str | None = None, **given: Any) -> None:
    """Do it.

    Args:
        own: of the command alone.
    """
    PASSED.clear()
    PASSED.update(given, model=model, own=own)


app = App(name="it", help_format="plaintext", default_parameter=Parameter(negative=()))
app.command(command)


def passed(*words: str) -> dict[str, Any]:
    parsed, bound, _ = app.parse_args(["command", *words], exit_on_error=False, print_error=False)
    parsed(*bound.args, **bound.kwargs)
    return dict(PASSED)


def test_options_have_the_arguments_names_and_types() -> None:
    words = (
        "m --steps 3 --seconds 2 --no-quick --goal b --shape 2,3 --place x --many all "
        "--env A=1=2 --env B= --words a,b --own o"
    )
    assert passed(*words.split()) == {
        "model": "m",
        "own": "o",
        "steps": 3,
        "seconds": 2.0,
        "quick": False,
        "goal": "b",
        "env": {"A": "1=2", "B": ""},
        "shape": (2, 3),
        "place": "x",
        "many": "all",
        "words": ("a", "b"),
    }
    assert passed("m", "--many", "4", "--steps", "-1") == {
        "model": "m",
        "own": None,
        "many": 4,
        "steps": -1,
    }


def test_whether_a_word_is_a_choice_the_function_decides() -> None:
    assert passed("m", "--goal", "c", "--many", "some") == {
        "model": "m",
        "own": None,
        "goal": "c",
        "many": "some",
    }


def test_what_is_not_given_is_left_to_the_function() -> None:
    assert passed("m") == {"model": "m", "own": None}


NAME = st.text("ABC_ é-", min_size=1).filter(lambda name: not name.startswith("-"))


@given(st.dictionaries(NAME, st.text("a= \n,-é", max_size=6), min_size=1))
def test_pairs_come_as_they_were_typed(env: dict[str, str]) -> None:
    words = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
    assert passed("m", *words)["env"] == env


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("--env A", "NAME=VALUE"),
        ("--env =1", "NAME=VALUE"),
        ("--steps 2.7", "whole number"),
        ("--steps 1e3", "whole number"),
        ("--seconds soon", "--seconds"),
        ("--shape 2,x", "whole numbers"),
        ("--stops 3", "--steps"),
        ("--progress 3", "Unknown option"),
    ],
)
def test_a_value_that_can_not_be_is_told(words: str, key: str) -> None:
    with pytest.raises(CycloptsError) as raised:
        passed("m", *words.split())
    assert key in str(raised.value)


def test_help_is_the_docstrings(capsys: pytest.CaptureFixture[str]) -> None:
    app.help_print(["command"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in (
        "Do it.",
        "MODEL which.",
        "--steps N how many, 100 % of them.",
        "--seconds X how long. [default: 1.5]",
        "--own TEXT of the command alone.",
        "[choices: a, b] [default: a]",
        "--env NAME=VALUE variables.",
        "--place PATH where.",
    ):
        assert words in text
    assert "progress" not in text


def test_a_former_name_is_passed_on_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    known = App(name="it", help_format="plaintext")
    seen: dict[str, Any] = {}

    @known.command
    @options.like(modelzoo_runner.benchmark)
    def run(model: str, /, **given: Any) -> None:
        """Run."""
        seen.update(given)

    parsed, bound, _ = known.parse_args(["run", "m", "--trust"], exit_on_error=False)
    parsed(*bound.args, **bound.kwargs)
    assert seen == {"trust": True}
    known.help_print(["run"])
    page = capsys.readouterr().out
    assert "--allow-unsafe-ops" in page and "--trust" not in page


@pytest.mark.parametrize(
    "function",
    [
        modelzoo_runner.benchmark,
        modelzoo_runner.accuracy,
        modelzoo_runner.sweep,
        modelzoo_runner.calibration_batches,
        modelzoo_runner.int8_report,
        modelzoo_runner.quantize,
        modelzoo_runner.score_detections,
        original.run,
    ],
)
def test_every_argument_is_described(function: Callable[..., object]) -> None:
    said = options.described(function)
    assert set(said) == set(inspect.signature(function).parameters)
    assert all(said.values())


def test_every_option_of_the_panels_is_one() -> None:
    """A renamed argument must not leave its old name behind in the panels."""
    verbs = (
        *(modelzoo_runner.benchmark, modelzoo_runner.accuracy, modelzoo_runner.sweep),
        *(modelzoo_runner.calibration_batches, modelzoo_runner.int8_report),
        modelzoo_runner.doctor,
    )
    known = {name for verb in verbs for name in inspect.signature(verb).parameters}
    assert {name for names in options.GROUPS.values() for name in names} <= known


def test_the_list_of_commands_says_what_their_docstrings_say() -> None:
    for name, (target, summary) in (each for panel in COMMANDS.values() for each in panel.items()):
        module, _, attribute = target.partition(":")
        found = getattr(importlib.import_module(f"modelzoo_runner.cli.{module}"), attribute)
        text = found.help if isinstance(found, App) else found.__doc__
        assert text.splitlines()[0] == summary, name
