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
    (command,) = shell.commands(f"program {shlex.join(words)}", {})
    assert command.words == ["program", *words]


TEXT = st.text("ab\"'\\ \t#=$-1{}", max_size=12)


@given(st.lists(TEXT, max_size=4).map(" ".join))
@settings(max_examples=60)
def test_any_line_is_split_as_bash_does(text: str) -> None:
    variables = {"a": "x y", "b": "", "ab": "z"}
    try:
        (command,) = shell.commands(f"program {text}", variables)
    except RequestError:
        return  # an open quote
    if command.problem:
        return  # a variable that isn't set
    found = command.words[1:]
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
        ("a\n  b", [["a"], ["b"]], []),
        ("a\n  -b", [["a", "-b"]], []),
        ("a # b\nc", [["a"], ["c"]], []),
        ("A=x; a $A ${A} ${B:-y} '$A' \"$A z\"", [["a", "x", "x", "y", "$A", "x z"]], []),
        ("a#b 'c # d'", [["a#b", "c # d"]], []),
        ("$ a", [["$", "a"]], []),
        ("", [], []),
    ],
)
def test_lines(text: str, commands: list[list[str]], redirected: list[str]) -> None:
    found = list(shell.commands(text, {}))
    assert [each.words for each in found] == commands
    assert [file for each in found for file in each.redirected] == redirected


@pytest.mark.parametrize("text", ["'", '"', "a\\"])
def test_an_open_quote_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"line 2 .* quotation"):
        list(shell.commands(f"a\n{text}", {}))


@pytest.mark.parametrize("text", ["$x", '"$x"', "${x}", "$(ls)", "`ls`", '"$(ls)"', "$1", "${x#y}"])
def test_words_that_are_not_known_are_a_problem(text: str) -> None:
    assert next(shell.commands(f"a {text}", {})).problem


def test_lines_and_exports() -> None:
    text = "# one\nexport OMP_NUM_THREADS=2 A=3\nKMP_X=1\n\na \\\n b\nc | d\n"
    found = [(each.line, each.after, each.words, each.env) for each in shell.commands(text, {})]
    env = {"OMP_NUM_THREADS": "2"}  # what no runtime reads isn't passed on
    assert found == [(5, "", ["a", "b"], env), (7, "", ["c"], env), (7, "|", ["d"], env)]


@pytest.mark.parametrize(
    "part",
    ["'a' ", '"', "a", "\\", "$a ", "a;", "# ", "a\n", "export A=1\n", "`", "$(", "${a}", "\n"],
)
def test_a_long_line_takes_time_as_its_length(part: str) -> None:
    began = time.process_time()
    with contextlib.suppress(RequestError):
        list(shell.commands(part * 50_000, {"a": "1"}))
    assert time.process_time() - began < 5
