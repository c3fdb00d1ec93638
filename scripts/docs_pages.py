"""Write the pages of the documentation site: docs/, and those made from other files and docstrings.

python scripts/docs_pages.py FOLDER
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import modelzoo_runner
from modelzoo_runner.cli import main as command_line

ROOT = Path(__file__).parents[1]

COPIES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}


def main(folder: Path) -> None:
    """Write all pages."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}
    pages |= {page: (ROOT / name).read_text(encoding="utf-8") for name, page in COPIES.items()}
    pages |= {"reference.md": reference(), "command.md": command(), "models.md": models()}
    shutil.copytree(ROOT / "docs" / "pictures", folder / "pictures")
    for name, text in pages.items():
        (folder / name).write_text(with_site_links(text), encoding="utf-8")


def with_site_links(text: str) -> str:
    """The page with links to the site's pages where it has links to files of the repository."""
    for name, page in COPIES.items():
        text = re.sub(rf"\]\((\.\./)?{re.escape(name)}", f"]({page}", text)
    return text.replace("](docs/", "](")


def reference() -> str:
    """A heading for each public name, which mkdocstrings fills from its docstring."""
    names = [name for name in modelzoo_runner.__all__ if not name.startswith("__")]
    values = {name: getattr(modelzoo_runner, name) for name in names}
    groups = {
        "Functions": [name for name in names if inspect.isfunction(values[name])],
        "Values": [
            name
            for name in names
            if inspect.isclass(values[name]) and not issubclass(values[name], Exception)
        ],
        "Errors": [
            name
            for name in names
            if inspect.isclass(values[name]) and issubclass(values[name], Exception)
        ],
    }
    parts = ["# Python", "All of these are imported from `modelzoo_runner`."]
    for title, members in groups.items():
        parts.append(f"## {title}")
        parts += [f"::: {values[name].__module__}.{name}" for name in members]
    return "\n\n".join(parts)


def command() -> str:
    """The help of all commands."""
    text: str = command_line.build_app().generate_docs(output_format="markdown", recursive=True)
    # A page of the site has its own table of contents.
    return re.sub(r"## Table of Contents\n\n(?: *- .*\n)+", "", text)


def models() -> str:
    """A table of the models that come with the library."""
    rows = ["| model | task | precisions | published scores |", "|---|---|---|---|"]
    for name, preset in modelzoo_runner.models().items():
        scores = "; ".join(_published(preset))
        rows.append(f"| {name} | {preset.task} | {', '.join(preset.graph)} | {scores} |")
    intro = "A preset each, in `presets/`; [preset files](presets.md) says what is in one."
    return "\n".join(["# Models", "", intro, "", *rows])


def _published(preset: modelzoo_runner.Preset) -> Iterator[str]:
    for precision, graph in preset.graph.items():
        if graph.published:
            said = ", ".join(f"{name} {score:g}" for name, score in graph.published.items())
            yield f"{precision}: {said}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
