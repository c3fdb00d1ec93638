"""What results have in common: how they are shown, drawn, written, and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

from modelzoo_runner.errors import ResultError
from modelzoo_runner.results import saved
from modelzoo_runner.values import codec
from modelzoo_runner.values.remote import RemotePath

if TYPE_CHECKING:
    from modelzoo_runner.results.frames import Row
    from modelzoo_runner.results.shown import Shown

Item = TypeVar("Item")


class Exportable:
    """The base of results, sweeps, comparisons and A/B tests.

    `str()` is text; a notebook shows HTML.
    """

    def shown(self) -> Shown:
        """What text and HTML are made from."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.shown().text()

    def _repr_html_(self) -> str:
        return self.shown().html()

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

    def to_csv(self, path: str | Path) -> Path | RemotePath:
        """Write the rows of `to_dataframe` as CSV, whole or not at all, and return the path.

        Raises:
            ResultError: the path can't be written; says why.
        """
        return saved.write_text(self.csv_text(), path)

    def save(self, path: str | Path) -> Path | RemotePath:
        """Write the result as JSON, whole or not at all, and return the path.

        It may be an address in a store (gs://, s3://, az://, hf://, memory://). A device or a
        pipe, such as `/dev/stdout`, is written to and never replaced.

        Raises:
            ResultError: the path can't be written; says why.
        """
        return saved.write_text(self.json_text(), path)


class Drawn(Exportable):
    """A result of which there is a picture."""

    def plot(self, axis: Any = None) -> Any:
        """A matplotlib figure, on `axis` if it is given.

        Of a benchmark its steps over time, with warm-up and disturbances marked, beside their
        distribution; of an accuracy run each category's AP, or a classifier's scores with their
        intervals; of a comparison both throughputs with intervals, of two sweeps the ratio of each
        pair; of an A/B test each round's ratio; of `runtimes()` the throughput of each; of
        `max_rate()` p99 against the rate; of `tune()` throughput over the time of a step, with the
        Pareto front.

        Raises:
            MissingDependency: matplotlib isn't installed.
        """
        from modelzoo_runner.results import plots

        return plots.draw(self, axis)


class Saved(Exportable):
    """A result that is read again as what it was. `KIND` is what its file says it is."""

    KIND: ClassVar[str]

    def summary(self) -> dict[str, Any]:
        """What follows from the rest, for tools that read the JSON; nothing by default."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """The result as plain dicts, lists and scalars; `from_dict` reads it."""
        summary = self.summary()
        derived = {"summary": {"derived": True, **summary}} if summary else {}
        return {"schema": saved.SCHEMA, "kind": self.KIND, **derived, **codec.to_dict(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The result that `to_dict` recorded, now or by an earlier version.

        Raises:
            ResultError: an unknown schema version, a record of something else, values that can't
                be, or a `summary` that doesn't belong to the rest.
        """
        record = cls._own(record)
        result = saved.body(record, cls)
        result._check()
        saved.check_summary(record.get("summary"), result.summary)
        return result

    @classmethod
    def _own(cls, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record as this version writes it, if it is one of this class."""
        record = saved.current(record)
        if record.get("kind") != cls.KIND:
            raise ResultError(f"kind={record.get('kind')!r}: should be {cls.KIND}")
        return record

    def _check(self) -> None:
        """Raises a ResultError where values don't belong together."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The result saved at `path`.

        Raises:
            ResultError: the file can't be read or is something else.
        """
        return saved.read(path, cls.from_dict)


class Listed(Sequence[Item]):
    """A sequence of what `_items` gives."""

    def _items(self) -> tuple[Item, ...]:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._items())

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        return self._items()[index]
