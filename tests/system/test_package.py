"""The built wheel, installed into an empty folder."""

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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_presets_types_and_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    presets = {f"modelzoo_runner/presets/{path.name}" for path in (ROOT / "presets").glob("*.toml")}
    assert len(presets) == 9 and presets <= names
    assert "modelzoo_runner/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_wheel_lists_the_models(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(folder), str(wheel)], check=True, capture_output=True)
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import modelzoo_runner as m;"
        "print(json.dumps([m.__file__, sorted(m.models())]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    where, models = json.loads(done.stdout)
    assert Path(where).is_relative_to(folder)
    assert models == sorted(path.stem for path in (ROOT / "presets").glob("*.toml"))


def test_every_extra_that_is_named_anywhere_exists() -> None:
    extras = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )
    folders = (ROOT / "docs", ROOT / "src", ROOT / "examples", ROOT / "scripts")
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    pages += [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    named = {
        extra
        for page in pages
        if page.suffix in (".md", ".py", ".ipynb", "")
        for group in re.findall(
            r"(?:modelzoo_runner|['\" ]\.)\[([a-z][\w,]*)\]", page.read_text(encoding="utf-8")
        )
        for extra in group.split(",")
    }
    assert {"tensorflow", "analysis", "dask"} <= named <= extras


def test_a_version_without_a_changelog_is_not_released(tmp_path: Path) -> None:
    for name in ("scripts/release", "src/modelzoo_runner/_version.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## 0.0.1\n")
    command = ["bash", str(tmp_path / "scripts/release")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "CHANGELOG.md" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"CHANGELOG.md", "scripts", "src"}


def test_the_two_tensorflows_are_declared_in_conflict() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pair = [{"extra": "tensorflow"}, {"extra": "intel"}]
    assert pair in project["tool"]["uv"]["conflicts"]
    assert {"tensorflow", "intel"} <= set(project["project"]["optional-dependencies"])
