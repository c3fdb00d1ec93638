"""A call as a line of Python and as a line for a shell, both to paste."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any


def python(verb: str, model: str, arguments: Mapping[str, Any]) -> str:
    """The call as Python.

    >>> python("benchmark", "resnet50", {"batch_size": 8, "env": {"A": "1"}})
    'benchmark("resnet50", batch_size=8, env={"A": "1"})'
    """
    given = (f"{name}={_literal(value)}" for name, value in arguments.items())
    return f"{verb}({', '.join([_literal(model), *given])})"


def shell(verb: str, model: str, arguments: Mapping[str, Any]) -> str:
    """The call as a command.

    >>> shell("benchmark", "resnet50", {"batch_size": 8, "optimize": False, "env": {"A": "a b"}})
    "modelzoo-runner benchmark resnet50 --batch-size 8 --no-optimize --env 'A=a b'"
    """
    words = ["modelzoo-runner", verb, model]
    for name, value in arguments.items():
        words += _words(name.replace("_", "-"), value)
    return shlex.join(words)


def _literal(value: Any) -> str:
    match value:
        case str() | os.PathLike():
            return json.dumps(os.fspath(value), ensure_ascii=False)
        case Mapping():
            pairs = (f"{_literal(key)}: {_literal(each)}" for key, each in value.items())
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            return f"[{', '.join(map(_literal, value))}]"
    return repr(value)


def _words(option: str, value: Any) -> Iterator[str]:
    match value:
        case None:
            return
        case bool():
            yield f"--{option}" if value else f"--no-{option}"
            return
        case Mapping():
            given = [
                f"{key}={each if isinstance(each, str) else json.dumps(each)}"
                for key, each in value.items()
            ]
        case list() | tuple():
            given = [",".join(map(str, value))]
        case _:
            given = [str(value)]
    for each in given:
        # What begins with a dash would be taken for another option.
        yield from [f"--{option}={each}"] if each.startswith("-") else [f"--{option}", each]
