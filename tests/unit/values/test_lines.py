"""Calls as lines: what is pasted is the call that was meant."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from modelzoo_runner.cli.main import build_app
from modelzoo_runner.values import lines

GIVEN: dict[str, Any] = {
    "batch_size": 8,
    "precision": "int8",
    "weights": 'it\'s a "graph" $(x).pb',
    "optimize": False,
    "strict": True,
    "cpus": "0-3",
    "env": {"A": "b c", "D": "-1"},
    "feeds": {"keep_prob:0": 1.0, "training:0": False},
    "input_shape": [224, 224, 3],
    "timeout": 2.5,
    "instances": "core",
    "cores_per_instance": None,
}


def test_python_gives_the_arguments_back() -> None:
    def benchmark(model: str, **given: Any) -> tuple[str, dict[str, Any]]:
        return model, given

    line = lines.python("benchmark", "my graph.pb", GIVEN)
    assert eval(line, {"benchmark": benchmark}) == ("my graph.pb", GIVEN)


@pytest.mark.parametrize("name", [*GIVEN, None])
def test_the_shell_gives_the_arguments_back(name: str | None) -> None:
    given = GIVEN if name is None else {name: GIVEN[name]}
    words = shlex.split(lines.shell("benchmark", "my graph.pb", given))
    assert words[:3] == ["modelzoo-runner", "benchmark", "my graph.pb"]
    _, bound, _ = build_app().parse_args(words[1:], exit_on_error=False, print_error=False)
    read = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in bound.arguments.items()
        if key != "model"
    }
    read.update(read.pop("given", {}))
    assert read == {key: value for key, value in given.items() if value is not None}
