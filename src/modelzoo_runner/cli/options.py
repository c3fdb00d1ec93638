"""A function's keyword arguments as command-line options.

Names, defaults and help come from the function's signature and docstring, so that the command and
the library can't say different things.
"""

from __future__ import annotations

import argparse
import builtins
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from modelzoo_runner.values.deprecated import RENAMED


def add(
    parser: argparse.ArgumentParser, function: Callable[..., Any], *, leave_out: tuple[str, ...]
) -> None:
    """Add an option to `parser` for each keyword argument of `function`."""
    said = described(function)
    hints = typing.get_type_hints(function, localns=_Names(function))
    for name, parameter in inspect.signature(function).parameters.items():
        if name in leave_out or parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        default = parameter.default
        parser.add_argument(
            "--" + name.replace("_", "-"),
            dest=name,
            default=default,
            help=_help(said.get(name, ""), default),
            **_how(hints[name]),
        )
        for former in (old for old, new in RENAMED.items() if new == name):
            parser.add_argument(
                "--" + former.replace("_", "-"),
                dest=name,
                default=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
                **_how(hints[name]),
            )


class _Unknown:
    """Stands for a type that only type checkers import, with parameters or without."""

    def __class_getitem__(cls, _: Any) -> type[_Unknown]:
        return cls


class _Names(dict[str, Any]):
    """The names that a function's annotations may use."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(vars(builtins) | inspect.unwrap(function).__globals__)

    def __missing__(self, name: str) -> Any:
        return _Unknown


def described(function: Callable[..., Any]) -> dict[str, str]:
    """What the function's docstring says of each argument, on one line each."""
    doc = inspect.getdoc(function) or ""
    section = re.search(r"^Args:\n((?:    .*\n|\n)+)", doc + "\n", re.MULTILINE)
    found: dict[str, str] = {}
    name = ""
    for line in section.group(1).splitlines() if section else ():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name = start.group(1)
            found[name] = start.group(2)
        elif line.strip():
            found[name] += " " + line.strip()
    return found


def _how(hint: Any) -> dict[str, Any]:
    """How argparse reads a value of this type."""
    kinds = [kind for kind in _members(hint) if kind is not types.NoneType]
    if kinds == [bool]:
        return {"action": argparse.BooleanOptionalAction}
    if int in kinds and str in {type(each) for kind in kinds for each in typing.get_args(kind)}:
        return {"type": _number_or_word, "metavar": "N|WORD"}
    if kinds == [int]:
        return {"type": int, "metavar": "N"}
    if kinds == [float]:
        return {"type": float, "metavar": "X"}
    if any(typing.get_origin(kind) is Mapping or kind is Mapping for kind in kinds):
        return {"action": _Pairs, "metavar": "NAME=VALUE"}
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        return {"type": _numbers, "metavar": "N,N,..."}
    if kinds == [Collection[str]]:
        return {"type": _words, "metavar": "NAME,NAME,..."}
    if any(kind is Path for kind in kinds):
        return {"metavar": "PATH"}
    return {"metavar": "NAME" if kinds == [str] else "VALUE"}


def _members(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


class _Pairs(argparse.Action):
    """`--env A=1 --env B=2`: a name, the first `=`, and the rest as it is."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name, equals, value = values.partition("=")
        if not name or not equals:
            parser.error(f"{option_string} {values!r}: should be NAME=VALUE")
        pairs = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, {**pairs, name: value})


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _number_or_word(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def _help(said: str, default: Any) -> str:
    # argparse reads % as the start of a format.
    text = said.replace("`", "").replace("%", "%%")
    shown = default not in (None, False, ()) and not isinstance(default, bool)
    return f"{text} (default: {default})" if shown else text
