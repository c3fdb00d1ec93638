"""Take a shell script apart without running anything."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modelzoo_runner.errors import RequestError

# Alternatives in the order in which a shell tries them; one pass, linear in the length of the text.
_TOKEN = re.compile(
    r"""(?P<joined>\\\r?\n) | \\(?P<escaped>.) | '(?P<single>[^']*)'
    | "(?P<double>(?:\\.|[^"\\])*)" | \$\{(?P<braced>[^{}]*)\} | \$(?P<named>\w+)
    | (?P<end>[\r\n]\s*(?![\s-])) | (?P<space>\s+) | (?P<operator>[|&;<>]+) | (?P<hash>\#)
    | (?P<plain>[^\\'"$\s|&;<>#`]+) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_INSIDE_QUOTES = re.compile(r'\\(["\\$`])|\$\{([^{}]*)\}|\$(\w+)|(`|\$\()')
_WITH_DEFAULT = re.compile(r"(\w+)(?::?-(.*))?", re.DOTALL)

_READ_BY_RUNTIMES = re.compile(r"(OMP|KMP|GOMP|MKL|DNNL|ONEDNN|TF|TCMALLOC|MALLOC)_\w+|LD_PRELOAD")
"""Which exported variables a run gets; the others are for the script itself."""

LONGEST = 1 << 18
"""Letters that a script, or a word with its variables filled in, can have."""


@dataclass
class Command:
    """A simple command: its words, and where and how it stands in the text.

    Attributes:
        line: where it begins, from 1.
        words: unquoted, with variables filled in.
        redirected: the files that its output goes to.
        after: the operator before it, such as `|`.
        env: what the script exported before it and a run would read.
        problem: why its words aren't known, such as a variable that isn't set.
    """

    line: int
    after: str = ""
    words: list[str] = field(default_factory=list)
    redirected: list[str] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def commands(text: str, environ: Mapping[str, str] = os.environ) -> Iterator[Command]:
    """The commands in `text`, split and unquoted as a shell does, with variables filled in.

    What only sets variables isn't among them; they count for the commands that follow. A line that
    begins with an option goes on with the one before it, also without a backslash.

    Raises:
        RequestError: a quote is left open, or it is too long.

    >>> for command in commands("N=2; python -u run.py --name 'a b' -n $N > log  # a note"):
    ...     print(command.words, command.redirected)
    ['python', '-u', 'run.py', '--name', 'a b', '-n', '2'] ['log']
    """
    if len(text) > LONGEST:
        raise RequestError(f"command: it has {len(text):,} letters; at most {LONGEST:,} are read")
    variables = dict(environ)
    exported: dict[str, str] = {}
    for found in _split(text, variables):
        exports = found.words[:1] == ["export"]
        pairs = [word.partition("=") for word in found.words[exports:]]
        named = all(name.isidentifier() and (equals or exports) for name, equals, _ in pairs)
        if not named and (found.words or found.problem):
            found.env = dict(exported)
            yield found
            continue
        for name, equals, value in pairs:
            if found.problem:
                variables.pop(name, None)
            elif equals:
                variables[name] = value
            if exports and name in variables and _READ_BY_RUNTIMES.fullmatch(name):
                exported[name] = variables[name]


def _split(text: str, variables: Mapping[str, str]) -> Iterator[Command]:
    command = Command(line=1)
    word: list[str] | None = None
    is_target = False
    position, line, length = 0, 1, 0

    def end() -> None:
        nonlocal word, is_target
        if word is not None:
            (command.redirected if is_target else command.words).append("".join(word))
            is_target = False
        word = None

    def refuse_long(length: int) -> None:
        if length > LONGEST:
            raise RequestError(
                f"command: line {line}: with its variables it has more than {LONGEST:,} letters"
            )

    while match := _TOKEN.match(text, position):
        position = match.end()
        kind, value = match.lastgroup, match[match.lastgroup or 0]
        if kind == "operator" and ("<" in value or ">" in value):
            # A number that touches it is a file descriptor.
            word = None if word is not None and "".join(word).isdecimal() else word
            end()
            is_target = True
        elif kind in ("space", "joined"):
            end()
        elif kind in ("end", "operator"):
            end()
            yield command
            line += match[0].count("\n")
            command = Command(line=line, after="" if kind == "end" else value)
            length = 0
            continue
        elif kind == "hash" and word is None:
            ending = text.find("\n", position)
            position = len(text) if ending < 0 else ending
        elif kind == "other" and value in "'\"\\":
            raise RequestError(
                f"command: line {line} can't be split as a shell does: no closing quotation"
            )
        elif value == "`" or (value == "$" and text[position : position + 1] == "("):
            command.problem = "the output of another command is asked for; write it out instead"
            word = word or [value]
        else:
            try:
                if kind in ("braced", "named"):
                    value = _value(value, variables)
                elif kind == "double":
                    found = _INSIDE_QUOTES.finditer(value)
                    refuse_long(sum(len(_unquoted(each, variables)) for each in found))
                    value = _INSIDE_QUOTES.sub(lambda found: _unquoted(found, variables), value)
            except LookupError as error:
                command.problem = error.args[0]
            word = [] if word is None else word
            word.append(value)
            length += len(value)
            refuse_long(length)
        if not command.words and word is None and kind in ("space", "joined"):
            command.line = line + match[0].count("\n")
        line += match[0].count("\n")
    end()
    yield command


def _unquoted(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found[4]:
        raise LookupError("the output of another command is asked for; write it out instead")
    return found[1] or _value(found[2] if found[2] is not None else found[3], variables)


def _value(name: str, variables: Mapping[str, str]) -> str:
    """A variable's value, of `name` or `name:-default`."""
    match = _WITH_DEFAULT.fullmatch(name)
    if match is None:
        raise LookupError(f"${{{name}}} is more than a variable's name; write its value")
    if match[1] in variables:
        return variables[match[1]]
    if match[2] is not None:
        return match[2]
    raise LookupError(f"${match[1]} isn't set: set the variable, or write its value")
