"""The JSON files of results: their version, writing and reading them, and what older ones said.

A file is written whole or not at all, and read strictly. What a result holds isn't known here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from modelzoo_runner.errors import ResultError
from modelzoo_runner.values import atomic, codec, files, remote
from modelzoo_runner.values.remote import RemotePath

SCHEMA = 2
"""The version of the JSON form. It grows when an older reader would misread a newer file.

1. The first.
2. Renamed keys (`RENAMED_SINCE_1`), `processes`, `summary`, `plan.runtime`.
"""

RENAMED_SINCE_1: Mapping[str, str] = {
    "tally": "state",
    "trust": "allow_unsafe_ops",
    "whole": "dataset",
    "memory_nodes": "numa_nodes",
    "placement.memory_nodes": "placement.numa_nodes",
}
"""Keys of plans, placements and results in files of schema 1, and what they are called now."""

T = TypeVar("T")


def json_text(record: Mapping[str, Any]) -> str:
    """The record as JSON, without values that JSON doesn't know."""
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def write_text(text: str, path: str | Path | RemotePath) -> Path | RemotePath:
    """Write the text of a result, whole or not at all, and return the path or the address.

    Raises:
        ResultError: it can't be written; says why.
    """
    try:
        path = remote.path(path)
        atomic.write_text(path, text)
    except OSError as error:
        raise ResultError(
            f"{path}: the result can't be saved there: {error.strerror or error}. The result "
            "itself is unharmed: save() it to another path."
        ) from None
    return path


def read(path: str | Path | RemotePath, value: Callable[[dict[str, Any]], T]) -> T:
    """What `value` makes of the record at `path`.

    Raises:
        ResultError: the file can't be read or isn't a JSON object, or `value` says what is wrong
            with it; each line begins with the path.
    """
    path = remote.path(path)
    try:
        content = files.read(path) if isinstance(path, Path) else path.read_bytes()
        record = json.loads(content, parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(f"{path}: can't be read as a saved result: {error}") from None
    if not isinstance(record, dict):
        raise ResultError(f"{path}: can't be read as a saved result: not a JSON object")
    try:
        found = value(record)
        str(found)  # looks at the parts that are free in form, as machine facts are
        return found
    except RecursionError:
        raise ResultError(f"{path}: nested too deeply for a saved result") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ResultError(f"{path}: holds what no result holds ({what})") from None
    except ResultError as error:
        raise ResultError("\n".join(f"{path}: {line}" for line in str(error).split("\n"))) from None


def current(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as the current schema has it.

    Raises:
        ResultError: a schema that this version doesn't know.
    """
    schema = record.get("schema")
    if schema == SCHEMA:
        return dict(record)
    if schema == 1:
        return {**_renamed(record), "schema": SCHEMA}
    raise ResultError(
        f"schema={schema!r}: this version of modelzoo_runner reads results of schema 1 to "
        f"{SCHEMA}. Read the file with the version that wrote it."
    )


def body(record: Mapping[str, Any], cls: type[T]) -> T:
    """The value of class `cls` in a record, beside what says which record it is.

    Raises:
        ResultError: a line for each value that isn't one of the class.
    """
    values = {key: each for key, each in record.items() if key not in ("schema", "kind", "summary")}
    try:
        return codec.from_dict(values, cls)
    except codec.CodecError as error:
        raise ResultError("\n".join(error.problems)) from None


def _renamed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its keys, and those of its plan, under their present names.

    What was observed keeps its keys: it is free-form, and none of it was renamed.
    """
    found = {}
    for key, value in record.items():
        if isinstance(value, Mapping) and key in ("plan", "placement", "why"):
            value = _renamed(value)
        elif key in ("instances", "outcomes") and isinstance(value, list):
            value = [_renamed(each) if isinstance(each, Mapping) else each for each in value]
        found[RENAMED_SINCE_1.get(key, key)] = value
    return found


def check_summary(summary: Any, derive: Callable[[], Mapping[str, Any]]) -> None:
    """Hold a saved summary to what the record itself comes to; files without one are fine.

    Raises:
        ResultError: a value that differs by more than rounding.
    """
    if summary is None:
        return
    if not isinstance(summary, Mapping):
        raise ResultError(f"summary: {summary!r} should be a table")
    try:
        derived = derive()
    except (ArithmeticError, ValueError, LookupError) as error:
        raise ResultError(f"the durations in this file can't be summed up: {error}") from None
    for name, value in derived.items():
        said = summary.get(name, value)
        is_near = (
            math.isclose(said, value, rel_tol=1e-9)
            if isinstance(said, float) and isinstance(value, float)
            else said == value
        )
        if not is_near:
            raise ResultError(
                f"summary.{name}: {said!r} is not what the durations in this file come to "
                f"({value!r}). The summary is derived: the file was edited or mixed up"
            )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that JSON knows")
