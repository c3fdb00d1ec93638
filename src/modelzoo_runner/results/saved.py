"""A result's JSON file: written whole or not at all, read strictly.

What is in it isn't known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from modelzoo_runner.errors import ResultError
from modelzoo_runner.values import atomic

T = TypeVar("T")


def write(record: Mapping[str, Any], path: str | Path) -> Path:
    """Write the record as JSON and return the path.

    Raises:
        ResultError: the path can't be written; says why.
    """
    path = Path(path).expanduser()
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    try:
        atomic.write_text(path, text)
    except OSError as error:
        raise ResultError(
            f"{path}: the result can't be saved there: {error.strerror or error}. The result "
            "itself is unharmed: save() it to another path."
        ) from None
    return path


def reading(path: str | Path, value: Callable[[dict[str, Any]], T]) -> T:
    """What `value` makes of the record at `path`.

    Raises:
        ResultError: the file can't be read or isn't a JSON object, or `value` says what is wrong
            with it; each line begins with the path.
    """
    path = Path(path).expanduser()
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, ValueError) as error:
        raise ResultError(f"{path}: can't be read as a saved result: {error}") from None
    if not isinstance(record, dict):
        raise ResultError(f"{path}: can't be read as a saved result: not a JSON object")
    try:
        return value(record)
    except ResultError as error:
        raise ResultError("\n".join(f"{path}: {line}" for line in str(error).split("\n"))) from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that JSON knows")
