"""The commands that look after fetched files: `cache list|verify|clear` and `models --verify`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from typing import Any

from modelzoo_runner.errors import FetchError
from modelzoo_runner.execution.progress import Progress

Bar = Callable[[], contextlib.AbstractContextManager[Progress | None]]


def add_cache(commands: Any, bar: Bar) -> None:
    """Add `cache` with its three verbs to the commands."""
    says = "look after the files that were fetched"
    command: argparse.ArgumentParser = commands.add_parser("cache", help=says, description=says)
    verbs = command.add_subparsers(required=True, metavar="VERB")
    for name, text, run in (
        ("list", "list the files in the cache", _list),
        ("verify", "read every file and compare it with what came", lambda _: _verify(bar)),
        ("clear", "remove all files, or those of some locations", _clear),
    ):
        verb = verbs.add_parser(name, help=text, description=text)
        verb.set_defaults(run=run)
        if name == "clear":
            verb.add_argument("locations", nargs="*", help="as `cache list` prints them; none: all")
            verb.add_argument(
                "--hashes", action="store_true", help="forget what the files were at first, too"
            )


def verify_models() -> None:
    """Ask every location of every preset, and print a table of status and size.

    Raises:
        FetchError: a model can't be had from any of its locations.
    """
    from rich.console import Console
    from rich.table import Table

    import modelzoo_runner
    from modelzoo_runner.storage import availability

    table = Table("model", "status", "bytes", "location", box=None)
    found = availability.verify_locations(modelzoo_runner.models().values())
    for each in found:
        size = "?" if each.size is None else f"{each.size:,}"
        said = "ok" if each.ok else f"{each.status or 'no answer'}: {each.problem}"
        table.add_row(f"{each.model} {each.precision}", said, size, each.url)
    Console().print(table)
    wanted = {(each.model, each.precision) for each in found}
    gone = sorted(wanted - {(each.model, each.precision) for each in found if each.ok})
    if gone:
        names = ", ".join(f"{model} {precision}" for model, precision in gone)
        raise FetchError(f"no location answers for: {names}")


def _list(asked: argparse.Namespace) -> None:
    from modelzoo_runner.storage import upkeep

    for entry in upkeep.cache_entries():
        print(f"{entry.size:>13,}  {entry.sha256[:12]}  {entry.location}")


def _verify(bar: Bar) -> None:
    from modelzoo_runner.storage import upkeep

    with bar() as progress:
        checks = upkeep.verify_cache(progress=progress)
    for check in checks:
        print(f"{'ok' if check.ok else check.problem}  {check.entry.location}")
    wrong = [check for check in checks if not check.ok]
    if wrong:
        raise FetchError(
            f"{len(wrong)} of {len(checks)} files are not what came; `cache clear` them"
        )


def _clear(asked: argparse.Namespace) -> None:
    from modelzoo_runner.storage import upkeep

    cleared = upkeep.clear_cache(locations=asked.locations or None, hashes=asked.hashes)
    print(f"removed {len(cleared.locations)} locations, {cleared.bytes:,} bytes")
