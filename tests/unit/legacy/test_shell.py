"""Shell lines, against the shell's own rules."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.errors import RequestError
from modelzoo_runner.legacy import shell


@given(st.lists(st.text(st.characters(exclude_characters="\0"), max_size=8), min_size=1))
def test_what_was_quoted_comes_back(words: list[str]) -> None:
    assert shell.split(shlex.join(words)).commands == [words]


TEXT = st.text("ab\"'\\ \t#=$-1{}", max_size=12)


@given(st.lists(TEXT, max_size=4).map(" ".join))
@settings(deadline=None, max_examples=60)
def test_any_line_is_split_as_bash_does(text: str) -> None:
    variables = {"a": "x y", "b": "", "ab": "z"}
    try:
        found = [word for each in shell.split(text, variables).commands for word in each]
    except RequestError:
        return  # an open quote or a variable that isn't set
    if "${" in text or "$" in text.replace("$a", "").replace("$b", ""):
        return  # of which a shell knows more than names
    # noglob, and no splitting of a variable's value.
    script = f"IFS=; set -f; printf '%s\\0' {text}\n"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, env={**variables, "PATH": "/bin"}, check=False
    )
    expected = done.stdout.decode().split("\0")[:-1]
    assert [word for word in found if word] == [word for word in expected if word]


@pytest.mark.parametrize(
    ("text", "commands", "redirected"),
    [
        ("a b && c; d | e & f", [["a", "b"], ["c"], ["d"], ["e"], ["f"]], []),
        ("a > b 2>&1", [["a"]], ["b", "1"]),
        ("a 2>b c3>d", [["a", "c3"]], ["b", "d"]),
        ("a \\\n  b", [["a", "b"]], []),
        ("a\n  b", [["a", "b"]], []),
        ("a # b\nc", [["a", "c"]], []),
        ("a#b 'c # d'", [["a#b", "c # d"]], []),
        ("$ a", [["$", "a"]], []),
        ("", [], []),
    ],
)
def test_lines(text: str, commands: list[list[str]], redirected: list[str]) -> None:
    line = shell.split(text, {})
    assert (line.commands, line.redirected) == (commands, redirected)


@pytest.mark.parametrize("text", ["'", '"', "a\\", "$x", '"$x"', "${x}", "$(ls)", "`ls`"])
def test_what_can_not_be_split_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="command"):
        shell.split(text, {})


@pytest.mark.parametrize("part", ["'a' ", '"', "a", "\\", "$a ", "a;", "# "])
def test_a_long_line_takes_time_as_its_length(part: str) -> None:
    began = time.perf_counter()
    with contextlib.suppress(RequestError):
        shell.split(part * 50_000, {"a": "1"})
    assert time.perf_counter() - began < 5
