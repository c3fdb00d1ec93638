"""Results kept over time in one SQLite file: tables, trends and regressions."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import RequestError, ResultError, visible
from modelzoo_runner.results import changes, frames, table, trend
from modelzoo_runner.results import result as results
from modelzoo_runner.results.changes import Change, Point
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.results.load import load
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Result
from modelzoo_runner.results.shown import columns
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.results.trend import Entry, Trend
from modelzoo_runner.values import markup, words

APPLICATION = 0x4D5A5248  # "MZRH"
"""Marks an SQLite file as a history (`PRAGMA application_id`)."""

VERSION = 1
"""The version of the table (`PRAGMA user_version`)."""

TABLE = """
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    added TEXT NOT NULL,
    started TEXT NOT NULL,
    label TEXT NOT NULL,
    series TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    json TEXT NOT NULL
)
"""

MIN_EFFECT = 0.03
"""The smallest change of level that is looked for by default: 3 %."""

HEADER = ("started", "label", "verdict", "result")


class History(Exportable):
    """Results in one file, from the oldest to the newest by when they were started.

    The file is SQLite's, with the whole JSON of each result; it is made when something is first
    added. Several processes may add at once.

    Args:
        path: the file, on this machine.

    Raises:
        ResultError: from its methods: the file is something else, or can't be read or written.

    Examples:
        >>> history = History("history.db")  # doctest: +SKIP
        >>> history.add(benchmark("resnet50", processes=5), label="main@1f2e3d")  # doctest: +SKIP
        >>> for change in history.regressions():  # doctest: +SKIP
        ...     print(change)
    """

    def __init__(self, path: str | Path) -> None:
        if "://" in str(path):
            raise RequestError(
                f"path={str(path)!r}: a history is an SQLite file on this machine; copy it from "
                "the store first, and back when it has grown"
            )
        self.path = Path(path).expanduser()

    def add(self, result: Result | SweepResult | str | Path, *, label: str = "") -> int:
        """Add a result, those of a sweep, or what is saved in a file; return how many were new.

        A result that is there already isn't added twice.

        Raises:
            ResultError: it isn't a result, or the file can't be written.
        """
        given = load(result, Exportable) if isinstance(result, (str, Path)) else result
        found = list(given.results) if isinstance(given, SweepResult) else [given]
        runs = [each for each in found if isinstance(each, (BenchmarkResult, AccuracyResult))]
        if len(runs) < len(found):
            raise ResultError(f"{given!r}: should be a result of benchmark() or accuracy()")
        now = words.now()
        rows = [(*_row(each, label), now) for each in runs]
        with self._opened(writing=True) as database:
            before = database.total_changes
            database.executemany(
                "INSERT OR IGNORE INTO results "
                "(sha256, json, started, label, series, model, kind, added) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            return database.total_changes - before

    def entries(self, model: str | None = None) -> tuple[Entry, ...]:
        """All that was added, or all of one model, from the oldest to the newest."""
        with self._opened() as database:
            rows = database.execute(
                "SELECT json, label, series, added FROM results "
                "WHERE ?1 IS NULL OR model = ?1 ORDER BY started, id",
                (model,),
            ).fetchall()
        return tuple(
            Entry(result=self._read(text), label=label, series=series, added=added)
            for text, label, series, added in rows
        )

    def table(self, model: str | None = None) -> str:
        """A line of text for each result, below the name of its series."""
        lines = []
        for series, rows in self._series(model).items():
            lines.append(visible(series))
            lines += (f"  {line}" for line in columns([HEADER, *rows]))
        return "\n".join(lines)

    def _series(self, model: str | None = None) -> dict[str, list[tuple[str, ...]]]:
        """The rows of each series."""
        found: dict[str, list[tuple[str, ...]]] = {}
        for each in self.entries(model):
            *_, verdict, figures = table.sweep_row(each.result)
            row = (_moment(each.result.observed.started), each.label, verdict, figures)
            found.setdefault(each.series, []).append(row)
        return found

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        """A table for each series, below its changes."""
        changed = {each.series: each.changes for each in self.trend() if each.changes}
        parts = []
        for series, rows in self._series().items():
            found = changed.get(series, ())
            verdict = ("slower" if found[-1].ratio < 1 else "faster") if found else None
            parts += [
                markup.title(series, verdict),
                markup.notes(each.said for each in found),
                markup.table(HEADER, rows),
            ]
        return markup.card(markup.title(f"History {self.path.name}"), *parts)

    def to_dict(self, model: str | None = None) -> dict[str, Any]:
        """All results, or those of one model, as plain dicts, lists and scalars."""
        entries = [
            {"label": each.label, "series": each.series, "result": each.result.to_dict()}
            for each in self.entries(model)
        ]
        return {"kind": "history", "entries": entries}

    def trend(
        self, model: str | None = None, *, min_effect: float = MIN_EFFECT
    ) -> tuple[Trend, ...]:
        """The series of a model, or of all models, with the changes in each.

        Args:
            model: the name of one model.
            min_effect: the smallest change of throughput that matters, as a share.
        """
        series: dict[str, list[Point]] = {}
        for each in self.entries(model):
            if isinstance(each.result, BenchmarkResult):
                point = changes.point(each.result, each.label)
                series.setdefault(each.series, []).append(point)
        return tuple(
            Trend(
                series=name,
                points=tuple(points),
                changes=tuple(changes.change_points(name, points, min_effect=min_effect)),
            )
            for name, points in series.items()
        )

    def regressions(
        self, model: str | None = None, *, min_effect: float = MIN_EFFECT
    ) -> tuple[Change, ...]:
        """The series that are slower now than before: the last change of each, where it was down.

        See `docs/comparing.md` for how changes are found.

        Args:
            model: the name of one model.
            min_effect: the smallest change of throughput that matters, as a share.
        """
        last = (
            each.changes[-1] for each in self.trend(model, min_effect=min_effect) if each.changes
        )
        return tuple(each for each in last if each.ratio < 1)

    def to_dataframe(self, model: str | None = None) -> Any:
        """A pandas DataFrame with a row for each result; see `docs/results.md` for its columns.

        Raises:
            MissingDependency: pandas isn't installed.
        """
        return frames.dataframe(self.rows(model))

    def rows(self, model: str | None = None) -> list[frames.Row]:
        """The rows of `to_dataframe` as dicts."""
        return [
            {"label": each.label, "series": each.series, **frames.of_outcome(each.result)}
            for each in self.entries(model)
        ]

    def plot(self, model: str | None = None, axis: Any = None) -> Any:
        """A matplotlib figure: throughput over the results of each series, changes as lines.

        Raises:
            MissingDependency: matplotlib isn't installed.
            ResultError: there is nothing to plot.
        """
        trends = self.trend(model)
        if not trends:
            raise ResultError(f"{self.path}: no benchmark results{f' of {model}' if model else ''}")
        from modelzoo_runner.results import plots

        return plots.trends(trends, axis)

    @contextlib.contextmanager
    def _opened(self, *, writing: bool = False) -> Iterator[sqlite3.Connection]:
        if not writing and not self.path.exists():
            raise ResultError(f"{self.path}: there is no such history; add() a result first")
        try:
            # sqlite3's own context manager only ends the transaction, which is one for all of it,
            # because others may be making the same file.
            with (
                contextlib.closing(sqlite3.connect(self.path, timeout=30)) as database,
                database,
            ):
                database.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                self._check(database, writing)
                yield database
        except sqlite3.Error as error:
            raise ResultError(
                f"{self.path}: can't be {'written' if writing else 'read'} as a history: {error}"
            ) from None

    def _check(self, database: sqlite3.Connection, writing: bool) -> None:
        """Hold the file to be a history of a known version; make a new one of an empty file."""
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if writing and application == 0 and tables == 0:
            database.execute(TABLE)
            database.execute(f"PRAGMA application_id = {APPLICATION}")
            database.execute(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION:
            raise ResultError(f"{self.path}: an SQLite file, but not a history")
        elif version != VERSION:
            raise ResultError(
                f"{self.path}: a history of version {version}; this version of modelzoo_runner "
                f"reads version {VERSION}"
            )

    def _read(self, text: str) -> Result:
        try:
            return results.from_dict(json.loads(text))
        except (ValueError, ResultError) as error:
            raise ResultError(f"{self.path}: a result in it can't be read: {error}") from None


def _moment(started: str) -> str:
    """A time for people, to the second, with its zone.

    >>> _moment("2026-01-02T03:04:05.6+00:00"), _moment("")
    ('2026-01-02 03:04:05 UTC', '')
    """
    try:
        moment = datetime.datetime.fromisoformat(started)
    except ValueError:
        return started
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname() or ''}".rstrip()


def _row(result: Result, label: str) -> tuple[str, ...]:
    text = json.dumps(result.to_dict(), allow_nan=False)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    plan = result.plan
    return (
        sha256,
        text,
        result.observed.started,
        label,
        trend.series_of(result),
        plan.model,
        plan.kind,
    )
