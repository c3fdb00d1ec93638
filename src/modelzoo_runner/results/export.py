"""What all results can be written as: JSON, CSV, a pandas DataFrame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.results import saved

if TYPE_CHECKING:
    from modelzoo_runner.results.frames import Row


class Exportable:
    """The base of results, sweeps, comparisons and A/B tests."""

    def to_dict(self) -> dict[str, Any]:
        """The result as plain dicts, lists and scalars."""
        raise NotImplementedError

    def rows(self) -> list[Row]:
        """The rows of `to_dataframe` as dicts; `docs/results.md` lists the columns."""
        from modelzoo_runner.results import frames

        return frames.rows(self)

    def to_dataframe(self) -> Any:
        """A long and tidy pandas DataFrame; `docs/results.md` lists the columns.

        Raises:
            MissingDependency: pandas isn't installed.
        """
        from modelzoo_runner.results import frames

        return frames.dataframe(self.rows())

    def csv_text(self) -> str:
        """The rows of `to_dataframe` as CSV."""
        from modelzoo_runner.results import frames

        return frames.csv_text(self.rows())

    def json_text(self) -> str:
        """The JSON that `save` writes."""
        return saved.json_text(self.to_dict())

    def to_csv(self, path: str | Path) -> Path:
        """Write the rows of `to_dataframe` as CSV, whole or not at all, and return the path.

        Raises:
            ResultError: the path can't be written; says why.
        """
        return saved.write_text(self.csv_text(), path)

    def save(self, path: str | Path) -> Path:
        """Write the result as JSON, whole or not at all, and return the path.

        A device or a pipe, such as `/dev/stdout`, is written to and never replaced.

        Raises:
            ResultError: the path can't be written; says why.
        """
        return saved.write_text(self.json_text(), path)
