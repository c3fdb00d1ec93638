"""Write the pages of the documentation site: docs/, and those made from other files and docstrings.

python scripts/docs_pages.py FOLDER
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from pathlib import Path

import modelzoo_runner
from modelzoo_runner.cli import main as command_line

ROOT = Path(__file__).parents[1]

COPIES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}


STYLE = """\
/* Pictures are drawn on white; on a dark page they are dark, in the same hues. */
[data-md-color-scheme="slate"] article img[src$=".svg"] { filter: invert(.9) hue-rotate(180deg); }
/* On a phone tables are scrolled, and not squeezed to a word a line. */
@media (max-width: 40em) { article table td:last-child { min-width: 14em; } }
"""


def main(folder: Path) -> None:
    """Write all pages."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}
    pages |= {page: (ROOT / name).read_text(encoding="utf-8") for name, page in COPIES.items()}
    pages |= {"reference.md": reference(), "command.md": command(), "models.md": models()}
    shutil.copytree(ROOT / "docs" / "pictures", folder / "pictures")
    (folder / "pictures.css").write_text(STYLE, encoding="utf-8")
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
    rows = ["| model | what it is | batches | published scores |", "|---|---|---|---|"]
    for name, preset in modelzoo_runner.models().items():
        batches = ", ".join(map(str, preset.batch_sizes))
        scores = "<br>".join(preset.published(most=3))
        rows.append(f"| {name} | {preset.description} | {batches} | {scores} |")
    intro = (
        "Each in fp32 and int8, and each a preset in `presets/`; [preset files](presets.md) says "
        "what is in one."
    )
    return "\n".join(["# Models", "", intro, "", *rows])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
