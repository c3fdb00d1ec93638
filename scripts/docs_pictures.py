"""Draw the pictures of README and docs anew, each from the saved result beside it.

python scripts/docs_pictures.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelzoo_runner import load
from modelzoo_runner.results import figures
from modelzoo_runner.results.export import Exportable

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"


def pictures() -> Iterator[tuple[Path, str]]:
    """The file of each picture, and what should be in it."""
    for path in sorted(FOLDER.glob("*.json")):
        value: Any = load(path, Exportable)
        yield path.with_suffix(".svg"), figures.svg(value.plot())


if __name__ == "__main__":
    for path, text in pictures():
        path.write_text(text, encoding="utf-8")
