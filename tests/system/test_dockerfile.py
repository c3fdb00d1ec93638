"""The Dockerfile: what it copies is enough to install, and nobody in its image is root."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def read_instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile and what follows each, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    words = (line.split(maxsplit=1) for line in lines if line.strip())
    return [(word, " ".join(rest.split())) for word, rest in words]


INSTRUCTIONS = read_instructions()


def said(instruction: str) -> list[str]:
    return [rest for word, rest in INSTRUCTIONS if word == instruction]


def copied() -> list[str]:
    """What is copied from this folder, and not from another stage."""
    own = [rest.split() for rest in said("COPY") if not rest.startswith("--from")]
    return [source for *sources, _ in own for source in sources]


def test_what_is_copied_is_there_and_is_sent_to_the_engine() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == set(copied())
    assert all((ROOT / source).exists() for source in copied())


def test_what_is_copied_is_enough_to_build_the_library(tmp_path: Path) -> None:
    pytest.importorskip("build")
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    for name in copied():
        path = ROOT / name
        shutil.copytree(path, source / name) if path.is_dir() else shutil.copy(path, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "modelzoo_runner/execution/worker.py" in names
    assert "modelzoo_runner/presets/resnet50.toml" in names


def test_what_is_installed_and_started_is_what_the_project_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = (rest.partition("=")[2] for rest in said("ARG") if rest.startswith("EXTRAS"))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert any('".[${EXTRAS}]"' in rest for rest in said("RUN"))
    (entry,) = said("ENTRYPOINT")
    assert json.loads(entry)[0] in project["scripts"]


def test_the_packages_of_the_image_are_locked() -> None:
    """Each that the library and its extra ask for has one version."""
    assert "PIP_CONSTRAINT=/source/dev.txt" in said("ENV")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    asked += project["project"]["optional-dependencies"]["tensorflow"]
    locked = (ROOT / "requirements/dev.txt").read_text(encoding="utf-8")
    for each in asked:
        name = re.match(r"[\w.-]+", each)[0].lower()  # type: ignore[index]
        assert re.search(rf"^{name}(\[\w+\])?==[0-9.]+", locked, re.MULTILINE), each


def test_the_image_is_slim_and_nobody_in_it_is_root() -> None:
    assert all(rest.startswith("${BASE}") for rest in said("FROM"))
    (base,) = (rest.partition("=")[2] for rest in said("ARG") if rest.startswith("BASE"))
    assert re.fullmatch(r"python:3\.1[123]-slim", base)
    last = [word for word, _ in INSTRUCTIONS].index("ENTRYPOINT")
    (user,) = said("USER")
    assert user != "root" and ("USER", user) in INSTRUCTIONS[:last]
    assert any(f"useradd --create-home --uid 1000 {user}" in rest for rest in said("RUN"))
