"""What is printed on a terminal, and what in a pipe."""

from __future__ import annotations

import io
import os
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest
from results_made import benchmark_result

from modelzoo_runner.cli import terminal

PAGE = """\
benchmark  resnet50 fp32, batch 1
verdict    noisy
           - 12 % of the time other programs ran on the CPUs of the run, most on CPU 3 and CPU 7
latency    median 65.7 ms per step (95 % interval in this process: 64.9 ms to 67.2 ms), max 79.4 ms
warnings   none"""

TABLE = "run        model     precision  verdict           result of a run that is longer than most"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """A function that prints on a pseudo-terminal of 60 columns, and returns what came there."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    read, write = os.openpty()

    def show(do: Callable[[TextIO], None]) -> str:
        with os.fdopen(os.dup(write), "w", encoding="utf-8") as stream:
            do(stream)
        return os.read(read, 1 << 16).decode().replace("\r\n", "\n")

    yield show
    os.close(read)
    os.close(write)


def page(text: str) -> Callable[[TextIO], None]:
    return lambda stream: terminal.print_page(text, stream)


def test_a_verdict_is_colored_and_lines_end_at_words(screen: Callable[..., str]) -> None:
    said = screen(page(PAGE))
    assert "verdict    \x1b[1;33mnoisy\x1b[0m\n" in said
    assert said.count("\x1b[") == 2
    lines = re.sub(r"\x1b\[[\d;]*m", "", said).splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert " ".join(" ".join(lines).split()) == " ".join(PAGE.split())
    cause = lines.index("verdict    noisy") + 1
    assert lines[cause].startswith("           - 12 %") and lines[cause + 1].startswith(" " * 13)
    latency = next(n for n, line in enumerate(lines) if line.startswith("latency"))
    assert re.match(r" {11}\S", lines[latency + 1])


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("verdict    valid", "32"),
        ("run   m  fp32  1  2  invalid, 2 warnings  3.0 examples/s", "31"),
        ("m: 2.85x slower (0.351x, 95 % interval 0.3x to 0.4x)", "31"),
        ("m: same within 1 % (1.001x, 95 % interval 0.999x to 1.002x)", "32"),
        ("m: inconclusive: 1.2 % faster (1.012x, ...)", "33"),
        ("error: the labels are shifted by one", "31"),
        ("gates      - top1 0.7, at least 0.74 asked for: failed", "31"),
    ],
)
def test_the_word_of_a_verdict_is_colored(
    text: str, color: str, screen: Callable[..., str]
) -> None:
    assert f"\x1b[1;{color}m" in screen(page(text))


def test_what_is_inconclusive_is_neither_good_nor_bad(screen: Callable[..., str]) -> None:
    said = screen(page("m: inconclusive: 1.31x slower (0.766x, 95 % interval 0.5x to 1.2x)"))
    assert "\x1b[1;33m" in said and "\x1b[1;31m" not in said


def test_a_word_in_a_sentence_is_not_colored(screen: Callable[..., str]) -> None:
    assert "\x1b" not in screen(page("the same words are valid in a slower, failed sentence"))


def test_rows_of_a_table_stay_whole(screen: Callable[..., str]) -> None:
    assert screen(page(TABLE)) == TABLE + "\n"
    cell = f"  data is empty  {'made from a seed, ' * 3}  drew anew for{' ' * 20}\n{' ' * 17}each"
    assert screen(page(cell)) == f"{cell}\n"
    assert screen(page("/" + "long" * 40)) == "/" + "long" * 40 + "\n"


def test_what_was_wrapped_for_a_wider_page_is_wrapped_anew(screen: Callable[..., str]) -> None:
    cause = " ".join(f"word{number}" for number in range(40))
    result = benchmark_result((0.1, 0.2), warnings=(cause, "another"))
    lines = screen(page(str(result))).splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("warnings"))
    wrapped = [line for line in lines[begin:-1] if "another" not in line]
    assert all(50 < len(line) <= 60 for line in wrapped[:-1])
    assert all(line.startswith(" " * 13 + "word") for line in wrapped[1:])
    assert lines[-1] == "           - another"
    error = textwrap.fill(f"error: {cause}", 100, subsequent_indent=" " * 7)
    assert all(len(line) > 40 for line in screen(page(error)).splitlines()[:-1])


def test_an_error_is_one_paragraph(screen: Callable[..., str]) -> None:
    words = "steps=0: should be at least 1, and is what the command line said it should be"
    said = screen(lambda stream: terminal.print_error("RequestError", words, stream))
    assert said.startswith("\x1b[1;31mRequestError:\x1b[0m steps=0")
    assert " ".join(re.sub(r"\x1b\[[\d;]*m", "", said).split()) == f"RequestError: {words}"


@pytest.mark.parametrize("how", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_color_where_none_is_wanted(
    how: tuple[str, str], screen: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*how)
    said = screen(page(PAGE))
    assert not re.search(r"\x1b\[[\d;]*3\d", said)


def test_a_pipe_gets_the_text_as_it_is(tmp_path: Path) -> None:
    stream = io.StringIO()
    terminal.print_page(PAGE, stream)
    assert stream.getvalue() == PAGE + "\n"
    with (tmp_path / "ascii").open("w", encoding="ascii") as ascii_only:
        terminal.print_page("12 µs", ascii_only)
    assert (tmp_path / "ascii").read_text() == "12 \\xb5s\n"
