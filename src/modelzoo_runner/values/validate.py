"""Validate individual arguments. Pure.

Each function returns the argument as a plain Python value, or raises a `RequestError` that names
the argument, its value and what is allowed.
"""

from __future__ import annotations

import operator
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from modelzoo_runner.errors import RequestError, did_you_mean

MOST = 2**63 - 1
"""The largest whole number that any argument can be."""

MOST_THREADS = 1024
"""A thread count above this is taken for a mistake; each thread costs memory and start-up time."""


def shown(value: object) -> str:
    """A value from outside in a message: its `repr`, shortened.

    >>> shown("abc"), shown(10**5000)
    ("'abc'", 'a number of more than 4,300 digits')
    """
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write it
        return "a number of more than 4,300 digits"
    except RecursionError:
        return "a value that is nested too deeply"
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_of(name: str, value: Any, allowed: Collection[str]) -> str:
    """One of the allowed words; the error names similar ones.

    >>> one_of("goal", "latency", ("throughput", "latency"))
    'latency'
    """
    if not isinstance(value, str) or value not in allowed:
        raise RequestError(
            f"{name}={shown(value)}: not one of the values allowed here. "
            f"{did_you_mean(str(value), allowed, otherwise='Allowed')}"
        )
    return value


def word(name: str, value: object, allowed: Collection[str]) -> str:
    """The allowed word that `value` is, whatever its case.

    >>> word("verbose", True, ("true", "false"))
    'true'
    """
    folded = str(value).strip().lower()
    if folded not in allowed:
        raise RequestError(f"{name}={shown(value)}: should be {' or '.join(allowed)}")
    return folded


def flag(name: str, value: Any) -> bool:
    """`True` or `False`; a word such as "no" isn't taken for true."""
    if not isinstance(value, bool):
        raise RequestError(f"{name}={shown(value)}: should be True or False")
    return value


def callback(name: str, value: Any) -> None:
    """Something that can be called, a truth value, or `None`."""
    if not (value is None or isinstance(value, bool) or callable(value)):
        raise RequestError(f"{name}={shown(value)}: should be a function, True, False or None")


def text(name: str, value: Any) -> str:
    """Text, or a path as text.

    >>> from pathlib import Path
    >>> text("weights", Path("graph.pb"))
    'graph.pb'
    """
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise RequestError(f"{name}={shown(value)}: should be text or a path")
    return os.fspath(value)


def optional_text(name: str, value: Any) -> str | None:
    """Text or a path, or `None`; empty text is `None`."""
    return None if value is None else text(name, value) or None


def texts(name: str, value: Any, *, example: Mapping[str, str]) -> dict[str, str]:
    """A mapping from text to text; the error shows the example."""
    is_mapping = isinstance(value, Mapping)
    if not is_mapping or not all(isinstance(each, str) for pair in value.items() for each in pair):
        raise RequestError(f"{name}={shown(value)}: should map text to text, as {dict(example)}")
    return dict(value)


def feeds(value: Any) -> dict[str, Any]:
    """Constants by tensor name, as plain numbers, truth values, text and lists of them.

    >>> feeds({"keep_prob:0": 1.0})
    {'keep_prob:0': 1.0}
    """
    example = 'should be constants by tensor, as {"keep_prob:0": 1.0}'
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise RequestError(f"feeds={value!r}: {example}")
    plain = {tensor: _plain(each) for tensor, each in value.items()}
    for tensor, each in plain.items():
        if not _is_constant(each):
            raise RequestError(
                f"feeds[{tensor!r}]={value[tensor]!r}: should be a number, a truth value, text, or "
                "a list or an array of them"
            )
        if ":" not in tensor:
            raise RequestError(
                f"feeds={value!r}: {tensor!r} names a node; a tensor needs the number of the "
                f"node's output too: {f'{tensor}:0'!r}"
            )
    return plain


def _plain(value: Any) -> Any:
    """Arrays and numpy's numbers as Python's; `numpy` isn't loaded for it."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _is_constant(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_constant, value))
    return isinstance(value, (bool, int, float, str))


def variables(name: str, value: Any) -> dict[str, str]:
    """Environment variables by name."""
    found = texts(name, value, example={"OMP_NUM_THREADS": "2"})
    for variable, content in found.items():
        if not variable or "=" in variable or "\0" in variable + content:
            raise RequestError(
                f"{name}={{{variable!r}: {content!r}}}: can't be a variable: a name isn't empty "
                "and has no '=', and neither it nor its value holds a NUL"
            )
    return found


def count(
    name: str, value: Any, least: int = 1, *, from_text: bool = False, otherwise: str = ""
) -> int:
    """A whole number of at least `least`, numpy's too.

    Args:
        name: the argument's name.
        value: its value.
        least: the smallest number allowed.
        from_text: take text that says a number as well, as a pipeline or a command line passes it.
        otherwise: what else the argument can be, for the error.

    >>> count("batch_size", 8), count("steps", "100", from_text=True)
    (8, 100)
    """
    number = _index(value)
    if from_text and isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        number = int(value)
    if number is None or number < least:
        raise RequestError(
            f"{name}={shown(value)}: should be a whole number of at least {least}{otherwise}"
        )
    if number > MOST:
        raise RequestError(f"{name}={shown(value)}: should be at most {MOST:,}")
    return number


def optional_count(name: str, value: Any, least: int = 1) -> int | None:
    """A whole number of at least `least`, or `None`."""
    if value is None:
        return None
    return count(name, value, least, otherwise=", or None for the default")


def count_or_unset(name: str, value: Any, least: int = 1, *, unset: str) -> int | None:
    """A count or its text; `None` for what means "not given": nothing, empty text or -1.

    >>> count_or_unset("batch_size", "-1", unset="the model's own")
    """
    if value is None or (isinstance(value, str) and value.strip() in ("", "-1")):
        return None
    if _index(value) == -1:
        return None
    return count(name, value, least, from_text=True, otherwise=f", or -1 for {unset}")


def some(name: str, value: Any) -> Sequence[Any]:
    """A list of one or more; text isn't one."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise RequestError(f"{name}={shown(value)}: should be a list of one or more")
    return value


def share(name: str, value: Any) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise RequestError(f"{name}={shown(value)}: should be a number from 0 to 1")
    return float(value)


def seconds(name: str, value: Any) -> float | None:
    """A number of seconds above 0, or `None`."""
    return None if value is None else above_0(name, value, "a number of seconds above 0, or None")


def above_0(name: str, value: Any, should_be: str = "a number above 0") -> float:
    """A finite number above 0."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value <= sys.float_info.max:
        raise RequestError(f"{name}={shown(value)}: should be {should_be}")
    return float(value)


def shape(name: str, value: Any) -> tuple[int, ...] | None:
    """The sizes of an array, or `None`.

    >>> shape("input_shape", [224, 224, 3])
    (224, 224, 3)
    """
    if value is None:
        return None
    is_list = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
    sizes = [_index(each) for each in value] if is_list else []
    if not sizes or any(size is None or size < 1 for size in sizes):
        raise RequestError(
            f"{name}={shown(value)}: should be whole numbers of at least 1, as (224, 224, 3)"
        )
    return tuple(size for size in sizes if size is not None)


def cpu_list(name: str, value: Any) -> str | tuple[int, ...] | None:
    """CPUs as text, which isn't parsed here, or as ids; or `None`."""
    if value is None or isinstance(value, str):
        return value
    ids = [_index(each) for each in value] if isinstance(value, Collection) else [None]
    if not ids or any(each is None or each < 0 for each in ids):
        raise RequestError(f"{name}={shown(value)}: give ids, or text as '0-3,8'")
    if len(set(ids)) < len(ids):
        raise RequestError(f"{name}={shown(value)}: names a CPU twice; give each id once")
    return tuple(each for each in ids if each is not None)


def image_name(value: Any) -> str | None:
    """The name of a container image, or `None`.

    >>> image_name("registry.example.org:5000/team/modelzoo-runner@sha256:0123")
    'registry.example.org:5000/team/modelzoo-runner@sha256:0123'
    """
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[\w][\w./:@-]*", value, re.ASCII):
        raise RequestError(
            f"docker_image={value!r}: should be the name of an image, such as "
            "registry.example.org/modelzoo-runner:1, or None"
        )
    return value


def _index(value: Any) -> int | None:
    """The whole number that a value is, numpy's too; `True` isn't one."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None
