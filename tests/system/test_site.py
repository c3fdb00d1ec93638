"""The documentation site is built without a warning, and has what it is made from."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import modelzoo_runner
from modelzoo_runner.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    (folder / "src").symlink_to(ROOT / "src")
    for command in (
        [sys.executable, str(ROOT / "scripts" / "docs_pages.py"), str(folder / "build" / "docs")],
        [str(Path(sys.executable).parent / "zensical"), "build", "--clean", "--strict"],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "site"


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_every_public_name_has_its_entry_and_every_argument_its_description(site: Path) -> None:
    reference = text(site / "reference" / "index.html")
    for name in modelzoo_runner.__all__:
        if not name.startswith("__"):
            assert re.search(rf'id="modelzoo_runner\.[\w.]*\b{name}"', reference), name
    assert "use the CPUs and the memory of one socket" in reference


def test_every_command_has_its_help(site: Path) -> None:
    page = text(site / "command" / "index.html")
    for group in main.COMMANDS.values():
        for name in group:
            assert f'id="modelzoo-runner-{name}"' in page, name


def test_every_model_is_listed(site: Path) -> None:
    page = text(site / "models" / "index.html")
    assert all(name in page for name in modelzoo_runner.models())


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"', text(page))
        assert not loaded, (page.name, loaded)


def test_no_link_leads_nowhere(site: Path) -> None:
    for page in site.rglob("index.html"):
        for target, anchor in re.findall(r'href="([^":#?]*)(#[^"]*)?"', text(page)):
            found = (page.parent / target).resolve() if target else page
            found = found / "index.html" if found.is_dir() else found
            assert found.is_file(), f"{page.parent.name}: {target}"
            if len(anchor) > 1 and found.suffix == ".html":
                assert f'id="{anchor[1:]}"' in text(found), f"{page.parent.name}: {target}{anchor}"
