"""The completion scripts, in the shells that are here."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from modelzoo_runner.cli import completion
from modelzoo_runner.cli import main as cli


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    for shell in ("bash", "zsh", "fish"):
        if shutil.which(shell):
            (folder / shell).write_text(completion.script(shell), encoding="utf-8")
    return folder


def bash(scripts: Path, words: Sequence[str], _: object = ()) -> list[str]:
    code = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
        '_modelzoo_runner; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "-c", code, "bash", str(scripts / "bash"), "modelzoo-runner", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def fish(scripts: Path, words: Sequence[str], _: object) -> list[str]:
    line = " ".join(("modelzoo-runner", *words))
    code = f"source {scripts / 'fish'}; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=scripts,
        env={**os.environ, "HOME": str(scripts)},
    )
    return [each.split("\t")[0] for each in done.stdout.splitlines()]


def zsh(scripts: Path, words: Sequence[str], expected: Iterable[str]) -> list[str]:
    """What an interactive zsh shows after two Tabs, until all that is expected is there."""
    folder = scripts / "functions"
    folder.mkdir(exist_ok=True)
    shutil.copy(scripts / "zsh", folder / "_cyclopts_modelzoo-runner")
    process, screen = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "dumb", "HOME": str(scripts), "LISTMAX": "0", "PS1": "> "}
        os.chdir(scripts)
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        setup = f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -D -u"
        _typed(screen, f"{setup}; echo rea''dy\n", ["ready"])
        said = _typed(screen, " ".join(("modelzoo-runner", *words)) + "\t\t", expected)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(screen)
    return said.split()


def _typed(screen: int, keys: str, until: Iterable[str]) -> str:
    """What is shown from these keys on until all of these words have come."""
    os.write(screen, keys.encode())
    said = ""
    while not {*until} <= {*said.split()} and select.select([screen], [], [], 60)[0]:
        said += os.read(screen, 1 << 16).decode(errors="replace")
    return said


@pytest.mark.parametrize("complete", [bash, fish, zsh], ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bench"], {"benchmark"}),
        (["benchmark", "--num-"], {"--num-cores", "--num-inter-threads"}),
        (["benchmark", "resnet"], {"resnet50", "resnet101"}),
        (["benchmark", "resnet50", "--precision", ""], {"fp32", "int8", "bfloat16"}),
    ],
)
def test_a_shell_completes_commands_options_values_and_models(
    complete: Callable[..., list[str]], words: list[str], expected: set[str], scripts: Path
) -> None:
    if not (scripts / complete.__name__).exists():
        pytest.skip(f"no {complete.__name__} here")
    assert expected <= {*complete(scripts, words, expected)}


def test_files_are_left_to_bash(scripts: Path) -> None:
    for words in (("show", ""), ("benchmark", "resnet50", "--weights", ""), ("inspect", "")):
        assert bash(scripts, words) == []
    assert "complete -o default -F" in (scripts / "bash").read_text()


def test_it_is_printed_or_installed(
    scripts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = (scripts / "bash").read_text()
    assert cli.main(["completion", "bash"]) == cli.DONE
    assert capsys.readouterr().out == expected
    assert cli.main(["completion", "bash", "--install"]) == cli.DONE
    (path,) = (each for each in tmp_path.rglob("*") if each.name == "modelzoo-runner")
    assert path.read_text() == expected
    assert str(path) in (tmp_path / ".bashrc").read_text()
    assert str(path) in capsys.readouterr().err


def test_an_unknown_shell_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "csh"]) == cli.BAD_REQUEST
    said = capsys.readouterr().err
    assert "csh" in said and "fish" in said
