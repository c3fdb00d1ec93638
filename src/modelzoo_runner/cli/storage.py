"""The commands that look after fetched files: `cache list|verify|clear` and `models --verify`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from cyclopts import App

from modelzoo_runner.cli import output
from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage import settings
from modelzoo_runner.values.words import counted

if TYPE_CHECKING:
    from modelzoo_runner.storage.upkeep import LocationStatus

cache = App(name="cache", help="Look after the files that were fetched.")


def verify_models(to: output.Output) -> None:
    """Ask every location of every preset, and print a table of status and size.

    Raises:
        FetchError: a model can't be fetched from any of its locations.
    """
    import modelzoo_runner
    from modelzoo_runner.storage import upkeep

    found = upkeep.verify_locations(modelzoo_runner.models().values())
    rows = [("model", "status", "bytes", "location")]
    for each in found:
        status = "ok" if each.ok else str(each.status or "no answer")
        size = "" if each.size is None else f"{each.size:,}"
        rows.append((f"{each.model} {each.precision}", status, size, _with_problem(each)))
    output.show(found, to, _columns(rows, right=(2,)))
    wanted = {(each.model, each.precision) for each in found}
    gone = sorted(wanted - {(each.model, each.precision) for each in found if each.ok})
    if gone:
        names = ", ".join(f"{model} {precision}" for model, precision in gone)
        raise FetchError(
            f"no location answers for: {names}. Give the path of such a graph as weights=, or "
            'weights="random" to measure speed with the same topology.'
        )


def _with_problem(each: LocationStatus) -> str:
    """The location, and what is wrong with it where its status doesn't say it all."""
    if each.problem is None or each.problem.startswith(str(each.status)):
        return each.url
    return f"{each.url} ({each.problem.removeprefix(f'HEAD {each.url}: ').rstrip('.')})"


@cache.command(name="list")
def list_files(*, to: output.Output = output.PLAIN) -> None:
    """List the files in the cache."""
    from modelzoo_runner.storage import upkeep

    entries, built = upkeep.cache_entries(), upkeep.built_files()
    rows = [("bytes", "sha256", "fetched", "location")]
    for entry in entries:
        day = entry.fetched_at.partition("T")[0]
        rows.append((f"{entry.size:,}", entry.sha256[:12], day, entry.location))
    rows += [(f"{path.stat().st_size:,}", "", "built here", str(path)) for path in built]
    total = sum(entry.size for entry in entries) + sum(path.stat().st_size for path in built)
    folder = settings.cache_folder()
    summary = f"{counted(len(entries) + len(built), 'file')}, {total:,} bytes, in {folder}"
    page = f"{_columns(rows, right=(0,))}\n{summary}" if entries or built else summary
    record = {"folder": str(folder), "fetched": entries, "built": [str(path) for path in built]}
    output.show(record, to, page)


@cache.command
def verify(*, to: output.Output = output.PLAIN) -> None:
    """Read every file and compare it with what was fetched."""
    from modelzoo_runner.storage import upkeep

    checks = upkeep.verify_cache(progress=to.progress)
    lines = []
    for check in checks:
        lines.append(f"{'ok' if check.ok else 'WRONG':5}  {check.entry.location}")
        if not check.ok:
            lines.append(f"       {check.problem}")
    wrong = [check for check in checks if not check.ok]
    if not wrong:
        lines.append(f"{counted(len(checks), 'file')}, as they came")
    output.show(checks, to, "\n".join(lines))
    if wrong:
        raise FetchError(
            f"{len(wrong)} of {counted(len(checks), 'file')} {'is' if len(wrong) == 1 else 'are'} "
            "not what came. Remove what is wrong (`modelzoo-runner cache clear LOCATION`); it is "
            "fetched again when it is needed."
        )


@cache.command
def clear(*locations: str, hashes: bool = False, to: output.Output = output.PLAIN) -> None:
    """Remove all files, or those of some locations.

    Args:
        locations: as `cache list` prints them, or ending in / for all below; none: all.
        hashes: forget what the files were at first, too.
    """
    from modelzoo_runner.storage import upkeep

    cleared = upkeep.clear_cache(locations=locations or None, hashes=hashes)
    known = ""
    if hashes:
        known = "; whatever comes next from there is taken as it is"
    elif cleared.locations:
        known = "; what they were at first is still known (--hashes forgets it)"
    page = f"removed {counted(cleared.files, 'file')}, {cleared.bytes:,} bytes{known}"
    output.show(cleared, to, page)


def _columns(rows: Sequence[tuple[str, ...]], *, right: Collection[int]) -> str:
    """Rows in columns; the last one is as long as it is, so that it can be copied whole."""
    lines = []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
