"""Take a shell command line apart without running anything."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelzoo_runner.errors import RequestError

# Alternatives in the order in which a shell tries them; one pass, linear in the length of the text.
_TOKEN = re.compile(
    r"""(?P<joined>\\\r?\n) | \\(?P<escaped>.) | '(?P<single>[^']*)'
    | "(?P<double>(?:\\.|[^"\\])*)" | \$\{(?P<braced>\w+)\} | \$(?P<named>\w+)
    | (?P<space>\s+) | (?P<operator>[|&;<>]+) | (?P<hash>\#) | (?P<plain>[^\\'"$\s|&;<>#`]+)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_INSIDE_QUOTES = re.compile(r'\\(["\\$`])|\$\{(\w+)\}|\$(\w+)')


@dataclass
class Line:
    """The simple commands of a line as words, and the files that output is redirected to."""

    commands: list[list[str]] = field(default_factory=lambda: [[]])
    redirected: list[str] = field(default_factory=list)


def split(text: str, variables: Mapping[str, str] = os.environ) -> Line:
    """The commands in `text`, split and unquoted as a shell does, with variables filled in.

    A line may go on without a backslash at its end.

    Raises:
        RequestError: a quote is left open, a variable isn't set, or a command is substituted.

    >>> split("cd models && python -u run.py --name 'a b' > log  # a note").commands
    [['cd', 'models'], ['python', '-u', 'run.py', '--name', 'a b']]
    """
    line = Line()
    word: str | None = None
    is_target = False
    position = 0

    def end() -> None:
        nonlocal word, is_target
        if word is not None:
            (line.redirected if is_target else line.commands[-1]).append(word)
            is_target = False
        word = None

    while match := _TOKEN.match(text, position):
        position = match.end()
        kind, value = match.lastgroup, match[match.lastgroup or 0]
        if kind in ("space", "joined"):
            end()
        elif kind == "operator":
            if "<" in value or ">" in value:
                # A number that touches it is a file descriptor.
                word = None if word is not None and word.isdecimal() else word
                end()
                is_target = True
            else:
                end()
                line.commands.append([])
        elif kind == "hash" and word is None:
            position = (text.find("\n", position) + 1) or len(text)
        elif kind == "other" and value in "'\"\\":
            raise RequestError("command: can't be split as a shell does: no closing quotation")
        elif (kind == "other" and value == "`") or (value == "$" and text[position:][:1] == "("):
            raise RequestError(
                "command: the output of another command is asked for; write it out instead"
            )
        else:
            if kind in ("braced", "named"):
                value = _value(value, variables)
            elif kind == "double":
                value = _INSIDE_QUOTES.sub(
                    lambda found: found[1] or _value(found[2] or found[3], variables), value
                )
            word = (word or "") + value
    end()
    line.commands = [each for each in line.commands if each]
    return line


def _value(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise RequestError(f"command: ${name} isn't set: set the variable, or write its value")
    return variables[name]


def notes(line: Line, command: Sequence[str]) -> list[str]:
    """What of the line isn't done: everything but `command`."""
    found = []
    for each in line.commands:
        if each is command:
            continue
        meant = " Relative paths were meant from there." if each[0] == "cd" else ""
        found.append(f"`{shlex.join(each)}`: isn't done here.{meant}")
    found += [f"{file}: no output is redirected there." for file in line.redirected]
    return found
