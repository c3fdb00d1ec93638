"""A folder that holds some files of the cache, under the names they have in their bucket.

    <cache>/folders/<key>/<name>/...       links into <cache>/files

It is made for one set of objects at one generation each, so it never holds anything else, and it
appears whole.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from modelzoo_runner.storage import cache
from modelzoo_runner.storage.gcs import Listing

_FOLDERS = "folders"


def folder(root: Path, listing: Listing, paths: Sequence[Path]) -> Path:
    """The folder with `paths`, which are the first objects of `listing` as files."""
    base = listing.base or ""
    chosen = listing.objects[: len(paths)]
    links = {each.name.removeprefix(base): path for each, path in zip(chosen, paths, strict=True)}
    versions = "\n".join(f"{each.url}#{each.generation}" for each in chosen)
    home = root / _FOLDERS / cache.key(f"{base}\n{versions}")
    name = base.rstrip("/").rpartition("/")[2] or chosen[0].bucket
    if not _is_whole(home / name, links):
        _make(home, name, links)
    return home / name


def remove_broken(root: Path) -> None:
    """Remove the folders that link to a file that is no longer there."""
    for home in (root / _FOLDERS).glob("*"):
        if any(link.is_symlink() and not link.exists() for link in home.rglob("*")):
            shutil.rmtree(home)


def _is_whole(tree: Path, links: dict[str, Path]) -> bool:
    return all((tree / name).exists() for name in links)


def _make(home: Path, name: str, links: dict[str, Path]) -> None:
    """Make the links beside their place, then put all of them there at once."""
    making = home.with_name(f"{home.name}.{uuid.uuid4().hex}")
    for relative, path in links.items():
        link = making / name / relative
        link.parent.mkdir(parents=True, exist_ok=True)
        # Relative, so that a cache can be moved, or mounted elsewhere in a container.
        link.symlink_to(os.path.relpath(path, link.parent))
    try:
        making.rename(home)
    except OSError:
        # Another process was faster, or a link was lost from an older one.
        if not _is_whole(home / name, links):
            shutil.rmtree(home)
            making.rename(home)
    finally:
        shutil.rmtree(making, ignore_errors=True)
