"""Translate old `launch_benchmark.py` commands into calls of `benchmark` or `accuracy`.

The options of the zoo's releases 1.3 to 3.1 are known. Nothing is run.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import overload

from modelzoo_runner.errors import RequestError
from modelzoo_runner.legacy import options, originals, pipeline, shell
from modelzoo_runner.legacy.model_args import Note
from modelzoo_runner.legacy.options import SCRIPT
from modelzoo_runner.legacy.pipeline import DEFAULTS, Call
from modelzoo_runner.values import files

MOST_WORDS = 1000
"""More aren't read as one command: argparse takes time as the square of their number."""


@overload
def from_launch_command(command: Path, *, release: str = ...) -> list[Call]: ...
@overload
def from_launch_command(command: str, *, release: str = ...) -> Call | list[Call]: ...
@overload
def from_launch_command(command: list[str], *, release: str = ...) -> Call: ...
def from_launch_command(
    command: str | Path | Sequence[str], *, release: str = originals.NEWEST
) -> Call | list[Call]:
    r"""Translate an old command; the notes of the call say where a meaning changed.

    Args:
        command: a command as it was typed, also with what is around it (`cd ... &&`, `| tee log`),
            which isn't done; or its words; or the path of a shell script. Variables are those of
            the text and of the environment.
        release: the zoo's release that the command is of, 1.3 to 3.1: its defaults are taken.

    Returns:
        The call; a list of calls for a text with several commands, and for a script.

    Raises:
        RequestError: an option that the launcher didn't have, a value that can't be, a variable
            that isn't set, or a program before the script's name that isn't known; with the file
            and the line where there are several.

    >>> call = from_launch_command('''KMP_BLOCKTIME=0 python launch_benchmark.py \
    ...     --framework tensorflow --model-name resnet50 --precision int8 --mode inference \
    ...     --batch-size 1 -- steps=110 warmup_steps=10''')
    >>> print(call)  # doctest: +NORMALIZE_WHITESPACE
    benchmark("resnet50", precision="int8", goal="latency", batch_size=1, warmup_steps=10,
    steps=100, env={"KMP_BLOCKTIME": "0"})
    >>> print(call.notes[-1])  # doctest: +NORMALIZE_WHITESPACE
    steps=110: warmup_steps=10 steps=100; the original counted 10 warm-up steps among its steps;
    here they come before.
    """
    if isinstance(command, Path):
        return [_called(each, release, f"{command}, ") for each in _found(_read(command))]
    if isinstance(command, str):
        found = list(_found(command))
        if len(found) > 1:
            return [_called(each, release, "command, ") for each in found]
        return _translate(*found[0], release)
    if not isinstance(command, Sequence) or not all(isinstance(each, str) for each in command):
        raise RequestError(
            f"command={command!r}: should be a command as text, its words, or the Path of a script"
        )
    return _translate(shell.Command(line=1, words=list(command)), [], release)


def _read(script: Path) -> str:
    try:
        return files.read(script.expanduser(), most=shell.LONGEST).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise RequestError(f"command: {script} can't be read: {why}") from None


def _called(found: tuple[shell.Command, list[Note]], release: str, where: str) -> Call:
    command, notes = found
    try:
        return dataclasses.replace(_translate(command, notes, release), line=command.line)
    except RequestError as error:
        raise type(error)(f"{where}line {command.line}: {error}") from None


def _found(text: str) -> Iterator[tuple[shell.Command, list[Note]]]:
    """The launch commands of a text, each with notes on what is around it.

    Raises:
        RequestError: there is none.
    """
    launch: shell.Command | None = None
    notes: list[Note] = []
    waiting: list[Note] = []
    folder: list[Note] = []
    for each in shell.commands(text):
        if any(PurePath(word).name == SCRIPT for word in each.words):
            if launch is not None:
                yield launch, notes
            launch, notes, waiting = each, [*folder, *waiting], []
            why = "a result saves itself"
            outputs = (file for file in each.redirected if not file.isdecimal())  # of 2>&1
            notes += [Note(f"> {file}", "no file", why) for file in outputs]
            continue
        why = "only launch commands are translated"
        note = Note(f"`{shlex.join(each.words)}`", "isn't done", why)
        if each.words[:1] == ["cd"]:
            folder = [dataclasses.replace(note, why="relative paths were meant from there")]
        else:
            (notes if launch is not None and each.after.startswith("|") else waiting).append(note)
    if launch is None:
        raise RequestError(f"command: there is no {SCRIPT} in it: {text[:200]!r}")
    yield launch, [*notes, *waiting]


def _translate(command: shell.Command, around: list[Note], release: str) -> Call:
    if command.problem:
        raise RequestError(f"command: {command.problem}")
    variables, words = _at_script(command.words)
    given, extra = options.parse(words)
    is_accuracy = given["accuracy_only"]
    notes = options.notes(given, release)
    call = pipeline.from_parameters(
        **{name: given[name] for name in DEFAULTS if name in given},
        benchmark_or_accuracy="accuracy" if is_accuracy else "benchmark",
        extra_model_args=extra,
    )
    arguments, more = options.arguments(given, is_accuracy)
    variables = {**command.env, **variables}
    ours = {**arguments.pop("env", {}), **call.arguments.get("env", {})}
    env = {**variables, **ours}
    arguments = {**call.arguments, **arguments, **({"env": env} if env else {})}
    kept = {name: value for name, value in variables.items() if name not in ours}
    filled, filled_notes = originals.fill(call.verb, call.model, arguments, release, kept)
    return dataclasses.replace(
        call,
        arguments={**arguments, **filled},
        notes=(*around, *filled_notes, *call.notes, *notes, *more),
    )


def _at_script(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The variables before the script's name, and what comes after it."""
    at = [index for index, word in enumerate(words) if PurePath(word).name == SCRIPT]
    if len(at) != 1:
        raise RequestError(
            f"command: {SCRIPT} should be in it once, and is {len(at)} times: "
            f"{shlex.join(words)[:200]!r}"
        )
    if len(words) > MOST_WORDS:
        raise RequestError(f"command: it has {len(words)} words; at most {MOST_WORDS} are read")
    variables = {}
    for word in words[: at[0]]:
        name, equals, value = word.partition("=")
        program = word if word.startswith("-") else PurePath(word).name
        if equals and name.isidentifier():
            variables[name] = value
        elif not re.fullmatch(r"\$|python[0-9.]*|-[BEIOPSsuv]+|env|exec|nohup|time", program):
            raise RequestError(
                f"command: {word!r} before {SCRIPT}: only variables, the Python interpreter, env, "
                "exec, nohup and time can stand there; a run is bound to CPUs by socket_id, "
                "numa_node or cpus"
            )
    return variables, list(words[at[0] + 1 :])
