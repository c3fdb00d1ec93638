"""Progress bars: when there are any, and what they show."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import modelzoo_runner
from modelzoo_runner.errors import RequestError
from modelzoo_runner.values import bars
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.progress import PHASES, UNITS, Told, throttled


@bars.shown
def counting(what: str, total: int, *, progress: Told = None) -> Told:
    context = Context(progress=progress)
    for done in range(total + 1):
        context.tell(what, done, total)
    return progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Puts a terminal in the place of standard error: in the test, where pytest has put its own."""

    def put() -> Terminal:
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return put


def test_bars_are_on_in_a_terminal_and_off_in_a_pipe(
    capsys: pytest.CaptureFixture[str], terminal: Callable[[], Terminal]
) -> None:
    assert counting("steps", 3) is None
    assert capsys.readouterr() == ("", "")
    screen = terminal()
    assert callable(counting("steps", 3))
    assert "steps:   0%" in screen.getvalue()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_closed_standard_error_shows_none(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    assert counting("steps", 1) is None


def test_true_false_and_a_function(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    assert counting("steps", 1, progress=False) is False
    told: list[Any] = []
    counting("steps", 1, progress=lambda *said: told.append(said))
    assert told == [("steps", 0, 1), ("steps", 1, 1)] and screen.getvalue() == ""
    counting("steps", 1, progress=True)
    assert "steps" in screen.getvalue()
    with pytest.raises(RequestError, match="progress='yes': should be a function, True, False"):
        counting("steps", 1, progress="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "total", "shown"),
    [
        ("steps", 40, "0/40 ["),
        ("runs", 3, "0/3 ["),
        ("calibration batches", 4, "0/4 ["),
        ("model.pb", 3 * 10**6, "0.00/3.00M ["),
    ],
)
def test_each_bar_has_its_unit(
    terminal: Callable[[], Terminal], what: str, total: int, shown: str
) -> None:
    screen = terminal()
    with bars.bars() as tell:
        tell(what, 0, total)
        tell(what, total, total)
    assert shown in screen.getvalue()
    assert f"?{UNITS.get(what, 'B')}/s]" in screen.getvalue()


def test_a_phase_is_named_and_an_outer_count_stays_in_sight(
    terminal: Callable[[], Terminal],
) -> None:
    screen = terminal()
    with bars.bars() as tell:
        tell("a phase of another runtime", 0, 1)
        tell("runs", 0, 2)
        for done in (1, 2):
            tell("import", 0, 1)
            tell("import", 1, 1)
            tell("steps", 0, 5)
            tell("steps", 5, 5)
            tell("runs", done, 2)
    text = screen.getvalue()
    assert "import ..." in text and "0/1" not in text
    assert text.count("runs:   0%") == 1 and text.count("steps:   0%") == 2


def test_an_error_leaves_no_bar(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    with pytest.raises(KeyError), bars.bars() as tell:
        tell("steps", 1, 2)
        raise KeyError
    assert screen.getvalue().endswith(f"\r{' ' * bars.WIDTH}\r")


NAMED = ("counter", "phase", "timed")


def test_whatever_is_told_has_a_unit() -> None:
    """What isn't known here would be shown in bytes."""
    told = set()
    folder = Path(modelzoo_runner.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0]
            is_count = name in ("tell", "progress") and len(node.args) == 3
            if isinstance(first, ast.Constant) and (is_count or name in NAMED):
                told.add(first.value)
    assert {"steps", "import"} <= told
    assert told <= {*PHASES, *UNITS}


def test_how_many_there_will_be_is_estimated_where_time_decides() -> None:
    told: list[Any] = []
    tell = throttled(lambda *said: told.append(said), "steps", 2, seconds=3600)
    for done in (0, 1, 2, 3):
        tell(done)
    # The first step is told at once: somebody may be waiting for it. The third is too soon after.
    assert [done for _, done, _ in told] == [0, 1, 2]
    assert told[0][2] == 2 and told[2][2] > 1000


def test_the_seconds_of_a_phase_are_kept() -> None:
    told: list[Any] = []
    context = Context(progress=lambda *said: told.append(said))
    for _ in range(2):
        with context.phase("fetch"):
            pass
    assert told == [("fetch", 0, 1), ("fetch", 1, 1)] * 2
    assert context.seconds.keys() == {"fetch"} and context.seconds["fetch"] > 0
