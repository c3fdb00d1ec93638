"""Names of arguments: former ones, accepted for one release, and misspelt ones, refused."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from modelzoo_runner.errors import RequestError, did_you_mean

P = ParamSpec("P")
R = TypeVar("R")

RENAMED = {"trust": "allow_unsafe_ops"}
"""The former name of each argument that has a new one."""


_functions: dict[str, Mapping[str, inspect.Parameter]] = {}
"""The parameters of each function that `accepts_former_names`."""


def with_new_names(given: Mapping[str, Any], *, stacklevel: int = 2) -> dict[str, Any]:
    """The arguments under their new names, with a `DeprecationWarning` for each former one.

    Raises:
        RequestError: an argument is given under both names.
    """
    found = dict(given)
    for old, new in RENAMED.items():
        if old not in found:
            continue
        if new in found:
            raise RequestError(f"{old}={found[old]!r}: the former name of {new}, given too")
        warnings.warn(
            f"{old}= is now called {new}=; the former name will be removed",
            DeprecationWarning,
            stacklevel=stacklevel + 1,
        )
        found[new] = found.pop(old)
    return found


def accepts_former_names(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which takes arguments under their former names too (see `RENAMED`).

    A name that it doesn't have is a `RequestError` with the functions that have it, or near names.
    """
    parameters = inspect.signature(function).parameters
    _functions[function.__name__] = parameters

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = with_new_names(kwargs, stacklevel=2)
        for name in given:
            if name not in parameters:
                hint = did_you_mean(name, parameters, otherwise="Its arguments")
                others = [f"{each}()" for each, its in _functions.items() if name in its]
                if others:
                    hint = f"It belongs to {' and '.join(others)}"
                raise RequestError(
                    f"{name}={given[name]!r}: {function.__name__}() has no such argument. {hint}"
                )
        return function(*args, **given)

    return call
