"""A library function's keyword arguments as the options of a command.

Names, defaults, choices and help come from the function's signature and docstring, so that the
command and the library can't say different things.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import operator
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import Group, Parameter

from modelzoo_runner.backends.base import BACKENDS
from modelzoo_runner.values import presets
from modelzoo_runner.values.arguments import GROUPS, MODEL
from modelzoo_runner.values.deprecated import RENAMED

Command = TypeVar("Command", bound=Callable[..., None])

_PANELS = {
    option: Group(name, sort_key=place)
    for place, (name, options) in enumerate(GROUPS.items(), start=1)
    for option in options
}
"""The panels of a help page. An option that is in none of them is in the first, `Options`."""

_MODEL = (
    "a model's name (`modelzoo-runner models` lists them), or the path of a frozen graph (.pb), a "
    "SavedModel (a folder), a Keras model (.keras, .h5), or a preset of your own (.toml)."
)


def word(_: Any, tokens: Sequence[Any]) -> str:
    """What was typed, as it is."""
    text: str = tokens[0].value
    return text


if typing.TYPE_CHECKING:
    File = str
else:
    # The type tells shells to complete it; the value is what was typed.
    File = Annotated[Path, Parameter(converter=word)]


def like(
    *functions: Callable[..., object], leave_out: Collection[str] = ("progress",)
) -> Callable[[Command], Command]:
    """A decorator: the command's `**given` are the keyword-only arguments of `functions`.

    What the docstring of the command doesn't say of its own arguments is taken from theirs. Only
    what was given on the command line is passed on: a function's defaults stay its own affair.
    """

    def decorate(command: Command) -> Command:
        said = described(*functions, command)
        own = inspect.signature(command).parameters.values()
        parameters = [each for each in own if each.kind is not each.VAR_KEYWORD]
        known = {*leave_out, *(each.name for each in parameters)}
        hints = {each.name: _hint(command, each) for each in parameters}
        for function in functions:
            for each in inspect.signature(function).parameters.values():
                if each.kind is each.KEYWORD_ONLY and each.name not in known:
                    known.add(each.name)
                    former = (old for old, new in RENAMED.items() if new == each.name)
                    for name in (each.name, *former):
                        parameters.append(each.replace(name=name))
                        hints[name] = _hint(function, each)
        parameters = [
            each.replace(annotation=_option(hints[each.name], each, said.get(each.name, "")))
            for each in parameters
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        return command

    return decorate


def described(*functions: Callable[..., object]) -> dict[str, str]:
    """What the functions' docstrings say of each argument, on one line each."""
    import docstring_parser

    return {
        each.arg_name: _plain(each.description or "")
        for function in functions
        for each in docstring_parser.parse(
            inspect.getdoc(function) or "", docstring_parser.DocstringStyle.GOOGLE
        ).params
    }


def _plain(description: str) -> str:
    """A docstring's words for somebody who types options, and neither quotes nor `None`."""
    text = " ".join(description.replace("`", "").split())
    text = re.sub(r"\{(.*?)\}", lambda found: found[1].replace('": ', '"='), text)
    text = re.sub(r'"(\S+?)"', r"\1", text)
    text = text.replace(". None: ", ". If not given: ")
    return re.sub(r"\bNone: ", "if not given: ", text)


def _hint(function: Callable[..., object], parameter: inspect.Parameter) -> Any:
    """The parameter's type; `str` for one that only type checkers import."""
    holder = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
    try:
        return typing.get_type_hints(
            holder, inspect.unwrap(function).__globals__, include_extras=True
        )["it"]
    except NameError:
        return str


def _option(hint: Any, parameter: inspect.Parameter, said: str) -> Any:
    """The type as cyclopts reads it, with how it is read and shown."""
    if typing.get_origin(hint) is Annotated:
        return Annotated[hint, Parameter(help=said)] if said else hint
    if dataclasses.is_dataclass(hint):  # options that commands share
        return hint
    kind, reading = _reading([each for each in _members(hint) if each is not types.NoneType])
    if kind is bool and parameter.default is not False:
        reading["negative"] = f"--no-{parameter.name.replace('_', '-')}"
    if parameter.kind is parameter.POSITIONAL_ONLY and parameter.name == "model":
        # Shells complete the names; any path will do.
        kind, reading = Literal[presets.names()], {"converter": word, "show_choices": False}
        said = said if said != _plain(MODEL) else _MODEL
    if parameter.name == "runtime":
        kind, reading = Literal[tuple(BACKENDS)], {"converter": word}
    if parameter.kind is parameter.KEYWORD_ONLY and parameter.name in _PANELS:
        reading["group"] = _PANELS[parameter.name]
    is_shown = not any(parameter.default is each for each in (None, False, (), ""))
    return Annotated[
        kind,
        Parameter(
            help=said,
            show=parameter.name not in RENAMED,
            show_default=is_shown,
            **reading,
        ),
    ]


def _reading(kinds: list[Any]) -> tuple[Any, dict[str, Any]]:
    choices = [kind for kind in kinds if typing.get_origin(kind) is Literal]
    if choices and all(kind is int or kind in choices for kind in kinds):
        # The choices are shown; whether a word is one of them the function decides: a preset of
        # the user's own may have other precisions.
        kind = functools.reduce(operator.or_, kinds)
        if int not in kinds:
            return kind, {"converter": word}
        return kind, {"converter": _number_or_word, "metavar": "N|CHOICE"}
    match kinds:
        case [each] if each in (bool, list[str]):
            return each, {}
        case [each] if each is int:
            return int, {"converter": _whole, "metavar": "N"}
        case [each] if each is float:
            return float, {"metavar": "X"}
        case [each] if each == Mapping[str, str]:
            return list[str], {"converter": _pairs, "metavar": "NAME=VALUE"}
        case [each] if each == Mapping[str, Any]:
            return list[str], {"converter": _constants, "metavar": "TENSOR=VALUE"}
        case [each] if each == Mapping[str, float]:
            return list[str], {"converter": _scores, "metavar": "NAME=X", "alias": "--min"}
        case [each] if each == tuple[int, ...]:
            return str, {"converter": _numbers, "metavar": "N,N,..."}
        case [each] if each == Collection[str]:
            return str, {"converter": _words, "metavar": "NAME,NAME,..."}
    if Path in kinds or os.PathLike[str] in kinds:
        return Path, {"converter": word, "metavar": "PATH"}
    return str, {"metavar": "TEXT"}


def _members(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        yield from typing.get_args(hint)
    else:
        yield hint


def _whole(_: Any, tokens: Sequence[Any]) -> int:
    """A whole number; cyclopts by itself would round 2.7."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} should be a whole number") from None


def _number_or_word(_: Any, tokens: Sequence[Any]) -> int | str:
    text = word(_, tokens)
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else text


def _pairs(_: Any, tokens: Sequence[Any]) -> dict[str, str]:
    """`--env A=1 --env B=2`: a name, the first `=`, and the rest as it is."""
    found = {}
    for token in tokens:
        name, equals, value = token.value.partition("=")
        if not name or not equals:
            raise ValueError(f"{token.value!r} should be NAME=VALUE")
        found[name] = value
    return found


def _scores(_: Any, tokens: Sequence[Any]) -> dict[str, float]:
    """`--min top1=0.74 --min top5=0.9`."""
    try:
        return {name: float(value) for name, value in _pairs(_, tokens).items()}
    except ValueError as error:
        raise ValueError(f"{error}; should be a score's name and a number, as top1=0.74") from None


def _constants(_: Any, tokens: Sequence[Any]) -> dict[str, Any]:
    """`--feeds keep_prob:0=1.0 --feeds is_training:0=false`: values as in JSON, or text."""

    def value(text: str) -> Any:
        try:
            return json.loads(text.lower() if text in ("True", "False") else text)
        except ValueError:
            return text

    return {name: value(text) for name, text in _pairs(_, tokens).items()}


def _numbers(_: Any, tokens: Sequence[Any]) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in tokens[0].value.split(","))
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} should be whole numbers, as 224,224,3") from None


def _words(_: Any, tokens: Sequence[Any]) -> tuple[str, ...]:
    return tuple(tokens[0].value.split(","))
