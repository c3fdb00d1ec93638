"""The code in README and docs runs, and the commands there print what they are shown to print."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from modelzoo_runner.cli.main import build_app

ROOT = Path(__file__).parents[2]

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [
        body for found, body in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language
    ]


def with_blocks(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def environment(cache: Path) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join((scripts, os.environ.get("PATH", "")))
    return {
        **os.environ,
        "PATH": path,
        "MODELZOO_RUNNER_CACHE": str(cache),
        "COLUMNS": "100",
    }


@pytest.mark.parametrize("page", with_blocks("python"), ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    code = "\n".join(blocks(page, "python"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", with_blocks("console"), ids=lambda page: page.name)
def test_a_command_prints_what_the_page_shows(
    page: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    for block in blocks(page, "console"):
        for command, shown in commands(block):
            done = subprocess.run(
                shlex.split(command),
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert shape(done.stdout) == shape(shown), command


def typed(page: Path) -> list[str]:
    """The commands of a page that are shown without their output, in blocks and in tables."""
    text = page.read_text(encoding="utf-8")
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    lines += re.findall(r"^\|.*?`(modelzoo-runner [^`]*)`", text, re.MULTILINE)
    lines += re.findall(r"- run: (modelzoo-runner .*)", text)
    return [line for line in lines if line.startswith("modelzoo-runner ")]


@pytest.mark.parametrize("page", [*filter(typed, PAGES)], ids=lambda page: page.name)
def test_a_command_is_one_and_has_its_options(page: Path) -> None:
    app = build_app()
    for line in typed(page):
        words = shlex.split(line, comments=True)[1:]
        app.parse_args(words, exit_on_error=False, print_error=False)


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output shown below it."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def shape(text: str) -> list[str]:
    """The lines of an output without what differs between runs: measured numbers, warnings."""
    changing = ("verdict", "warnings", " ")
    lines = [line.rstrip() for line in text.strip().splitlines() if not line.startswith(changing)]
    masked = [re.sub(r"\d+(\.\d+)*( (ns|µs|ms|s)\b)?", "N", line) for line in lines]
    # Percentiles and intervals are printed when there are enough steps, which the line says itself.
    return [" ".join(line.split()) for line in masked]


def test_the_pictures_are_of_the_results_beside_them() -> None:
    found = [*runpy.run_path(str(ROOT / "scripts" / "docs_pictures.py"))["pictures"]()]
    assert found
    for path, text in found:
        assert path.read_text(encoding="utf-8") == text, f"{path}: run scripts/docs_pictures.py"


def test_every_relative_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
