"""Text of any kind ends in a value or in one of the library's errors.

What is spoiled from valid input is in tests/process/test_hostile_input.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelzoo_runner import from_launch_command, load
from modelzoo_runner.data import label_map
from modelzoo_runner.errors import RunnerError
from modelzoo_runner.machine.cpulist import parse_cpu_list
from modelzoo_runner.storage import locations
from modelzoo_runner.values import presets

TEXT = st.one_of(
    st.text(max_size=200),
    st.text(
        "python launch_benchmark.py --model-name resnet50 $A${B:-c}'\"\\\n;|&<>=#", max_size=200
    ),
    st.text('{}[]",:0123456789.eE-+ntrufalse\n="#', max_size=200),
    st.text("0123456789-,:@/%gs http\x00\x1b\u202e", max_size=60),
)


def in_a_file(read: Callable[[Path], object], name: str) -> Callable[[str, Path], object]:
    def attempt(text: str, folder: Path) -> object:
        path = folder / name
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return read(path)

    return attempt


ATTEMPTS: dict[str, Callable[[str, Path], object]] = {
    "launch command": lambda text, _: from_launch_command(text),
    "launch script": in_a_file(from_launch_command, "run.sh"),
    "CPU list": lambda text, _: parse_cpu_list(text),
    "location": lambda text, _: locations.parse(text),
    "preset": in_a_file(presets.read, "p.toml"),
    "result": in_a_file(load, "r.json"),
    "label map": in_a_file(label_map.read, "m.pbtxt"),
    "names": in_a_file(label_map.read, "m.txt"),
    "names as JSON": in_a_file(label_map.read, "m.json"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


@pytest.mark.parametrize("kind", ATTEMPTS)
@given(text=TEXT)
@example(text="[" * 50_000)
@example(text="{" * 50_000)
@example(text="9" * 5_000)
@example(text="a = " + "9" * 5_000)
@example(text='{"1": ' + "9" * 5_000 + "}")
@example(text="\ud800")
@example(text="A=xx\n" + 'A="$A$A"\n' * 60 + "python launch_benchmark.py --model-name $A")
@settings(max_examples=50, derandomize=True, deadline=None)
def test_any_text_ends_in_a_value_or_in_an_error_of_ours(
    kind: str, text: str, folder: Path
) -> None:
    try:
        ATTEMPTS[kind](text, folder)
    except RunnerError as error:
        assert "\x1b" not in str(error)
