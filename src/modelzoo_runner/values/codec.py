"""Frozen dataclass <-> plain dict, strictly.

Presets (TOML), plans and results (JSON) all pass through here. Reading is strict: an unknown key,
a missing key or a value of another type is an error that says where. Nothing is coerced but a whole
number to a float. What the values mean is not known here.

A field can be text, a number, a truth value, `Any`, a dataclass, a `Mapping` from text, a `tuple`,
a `Literal`, or one of these `| None`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from modelzoo_runner.errors import nearest
from modelzoo_runner.values.validate import shown

T = TypeVar("T")
Tell = Callable[[str], None]


class CodecError(ValueError):
    """A plain dict isn't what the dataclass wants: one sentence for each thing wrong.

    Callers know which file the dict came from and raise their own error with it.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def to_dict(value: Any) -> Any:
    """A dataclass as plain dicts, lists and scalars that JSON can carry."""
    if is_dataclass(value):
        return {field.name: to_dict(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_dict(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(each) for each in value]
    return value


def from_dict(record: Mapping[str, Any], cls: type[T]) -> T:
    """The dataclass `cls` that `record` describes.

    Raises:
        CodecError: naming each key that is unknown (with the nearest valid one), missing, or of
            the wrong type, by its full path.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Point:
    ...     x: float
    >>> from_dict({"x": 1}, Point)
    Point(x=1.0)
    """
    problems: list[str] = []
    value: T = _read(record, cls, "", problems.append)
    if problems:
        raise CodecError(tuple(problems))
    return value


def _read(value: Any, kind: Any, path: str, tell: Tell) -> Any:
    """`value` as `kind`. What is wrong with it is told, and the answer is then good for nothing."""
    origin, args = get_origin(kind), get_args(kind)

    def expected(what: str) -> Any:
        tell(f"{path or 'the file'}: {shown(value)} should be {what}")

    if kind is Any:
        return value
    if origin in (Union, UnionType):
        (kind,) = (each for each in args if each is not NoneType)
        return None if value is None else _read(value, kind, path, tell)
    if origin is Literal:
        return value if value in args else expected(f"one of {', '.join(map(str, args))}")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            return expected("a list")
        kinds = args[:1] * len(value) if args[1:] == (...,) else args
        if len(value) != len(kinds):
            return expected(f"a list of {len(kinds)} values")
        return tuple(
            _read(each, kind, f"{path}[{index}]", tell)
            for index, (each, kind) in enumerate(zip(value, kinds, strict=True))
        )
    if origin is Mapping or is_dataclass(kind):
        if not isinstance(value, Mapping):
            return expected("a table")
        if is_dataclass(kind):
            return _read_dataclass(value, kind, path, tell)
        return {key: _read(each, args[1], _join(path, key), tell) for key, each in value.items()}
    if kind is float and type(value) is int:
        # From 2**53 on not every whole number is one; one that is too large raises.
        with contextlib.suppress(OverflowError):
            if (number := float(value)) == value:
                return number
        return expected("a number that a float can hold")
    # Not isinstance: True is an int to Python, and never to a reader of a preset.
    return value if type(value) is kind else expected(_NAMES[kind])


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _read_dataclass(record: Mapping[str, Any], cls: Any, path: str, tell: Tell) -> Any:
    kinds = _field_types(cls)
    for key in sorted(record.keys() - kinds):
        near = nearest(key, kinds, count=1)
        hint = (
            f"the nearest valid key is '{near[0]}'" if near else f"valid keys: {', '.join(kinds)}"
        )
        tell(f"{f'table [{path}]' if path else 'the top table'}: unknown key '{key}'; {hint}")
    missing = [
        field.name
        for field in fields(cls)
        if field.name not in record and field.default is field.default_factory is MISSING
    ]
    for key in missing:
        tell(f"{_join(path, key)}: the key is missing")
    given = {
        key: _read(record[key], kind, _join(path, key), tell)
        for key, kind in kinds.items()
        if key in record
    }
    return None if missing else cls(**given)


@functools.cache
def _field_types(cls: Any) -> dict[str, Any]:
    """The types of a dataclass' fields by name: working them out takes a while."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
