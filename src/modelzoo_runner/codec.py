"""Frozen dataclass <-> plain dict, strictly.

Presets (TOML), plans and results (JSON) all pass through here. Reading is strict: an unknown key,
a missing key or a value of another type is an error that says where. Nothing is coerced but a whole
number to a float. What the values mean is not known here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from modelzoo_runner.errors import nearest

if TYPE_CHECKING:
    import cattrs

T = TypeVar("T")


class CodecError(ValueError):
    """A plain dict isn't what the dataclass wants: one sentence for each thing wrong.

    Callers know which file the dict came from and raise their own error with it.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def to_dict(value: Any) -> Any:
    """A dataclass as plain dicts, lists and scalars that JSON can carry."""
    return _converter().unstructure(value)


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
    try:
        return _converter().structure(record, cls)
    except Exception as error:  # noqa: BLE001 - cattrs raises groups of anything a hook raised
        raise CodecError(tuple(_problems(error, ""))) from None


@functools.cache
def _converter() -> cattrs.Converter:
    import cattrs

    # Extra validation details are what the messages are made from.
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    for scalar in (str, int, float, bool):
        converter.register_structure_hook(scalar, _strictly(scalar))
    converter.register_structure_hook_factory(_is_mapping, _mapping_hook)
    converter.register_unstructure_hook(tuple, list)
    return converter


def _is_mapping(cls: Any) -> bool:
    return getattr(cls, "__origin__", None) is Mapping


def _mapping_hook(cls: Any, converter: cattrs.BaseConverter) -> Any:
    as_dict: Any = dict.__class_getitem__(cls.__args__)

    def structure(value: Any, _: Any) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise TypeError(f"{_show(value)} should be a table")
        return converter.structure(value, as_dict)

    return structure


def _strictly(scalar: type) -> Any:
    def structure(value: Any, _: Any) -> Any:
        if scalar is float and type(value) is int:
            return float(value)
        # Not isinstance: True is an int to Python, and never to a reader of a preset.
        if type(value) is not scalar:
            raise TypeError(f"{_show(value)} should be {_NAMES[scalar]}")
        return value

    return structure


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _problems(error: BaseException, path: str) -> list[str]:
    """One sentence for each leaf of cattrs' exception group, with the path that leads there."""
    from cattrs import ForbiddenExtraKeysError, IterableValidationNote
    from cattrs.errors import AttributeValidationNote

    if isinstance(error, ForbiddenExtraKeysError):
        valid = [field.name for field in fields(error.cl)]
        return [_unknown(key, path, valid) for key in sorted(error.extra_fields)]
    if isinstance(error, KeyError) and not isinstance(error, BaseExceptionGroup):
        return [f"{path or 'the file'}: the key is missing"]
    if not isinstance(error, BaseExceptionGroup):
        return [f"{path or 'the file'}: {error}"]
    found: list[str] = []
    for each in error.exceptions:
        here = path
        for note in getattr(each, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                here = f"{path}.{note.name}" if path else note.name
            elif isinstance(note, IterableValidationNote):
                index = f"[{note.index}]" if isinstance(note.index, int) else f".{note.index}"
                here = path + index if path else index.lstrip(".")
        found += _problems(each, here)
    return found


def _unknown(key: str, path: str, valid: list[str]) -> str:
    where = f"table [{path}]" if path else "the top table"
    near = nearest(key, valid, count=1)
    hint = f"the nearest valid key is '{near[0]}'" if near else f"valid keys: {', '.join(valid)}"
    return f"{where}: unknown key '{key}'; {hint}"
