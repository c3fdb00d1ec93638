"""What a location in a store stands for: one object, the objects of a folder, or of a pattern."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Protocol

from modelzoo_runner.errors import FetchError, did_you_mean
from modelzoo_runner.storage.locations import GLOB, BucketPlace, unsafe_reason
from modelzoo_runner.storage.settings import Settings


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object of a store at one version, which is `generation`; None where the store has none.

    `crc32c` is base64, as Google writes it; None where the store has no such checksum.
    """

    bucket: str
    name: str
    generation: str | None
    size: int
    crc32c: str | None
    scheme: str = "gs"

    @property
    def url(self) -> str:
        """The location of this object alone."""
        return f"{self.scheme}://{self.bucket}/{self.name}"


class Store(Protocol):
    """What a kind of store has to offer. Threads may share it.

    What it raises is a FetchError, or `retrying.Interrupted` where `blocks` may be tried again.
    """

    settings: Settings

    @property
    def who(self) -> str:
        """Who asks, as an error names it."""

    def find(self, place: BucketPlace) -> StoredObject | None:
        """The object of exactly that name, if there is one."""

    def below(self, place: BucketPlace, base: str) -> list[StoredObject]:
        """The objects below a folder; `base` is empty or ends in `/`."""

    def blocks(self, stored: StoredObject, start: int) -> Iterator[bytes]:
        """The bytes of the object at its version from one on; a MiB at a time at most."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a location stands for: one object (`base` is None), or those below the folder `base`.

    `base` is empty or ends in `/`. The objects are sorted by name.
    """

    base: str | None
    objects: tuple[StoredObject, ...]


def resolve(place: BucketPlace, store: Store) -> Listing:
    """The objects a location stands for.

    A name with no slash at its end is an object's if there is one, and otherwise a folder's. In a
    pattern, `*`, `?` and `[...]` stand for parts of a name between slashes.

    Raises:
        FetchError: nothing is there; it may not be read; or a name can't be a file's.
    """
    if not place.is_pattern and not place.is_folder and (one := store.find(place)) is not None:
        return Listing(base=None, objects=(one,))
    base = f"{place.name.rstrip('/')}/" if place.name else ""
    if place.is_pattern:
        base = before_pattern(place.name)
    found = store.below(place, base)
    if place.is_pattern:
        found = [each for each in found if _matches(each.name, place.name)]
    if not found:
        raise _nothing_there(place, base, store)
    _refuse_unsafe(place, base, found)
    return Listing(base=base, objects=tuple(sorted(found, key=lambda each: each.name)))


def before_pattern(name: str) -> str:
    """The folder in front of the first part of a name that is a pattern.

    >>> before_pattern("a/b[12]/c*")
    'a/'
    """
    first = min(name.index(character) for character in GLOB if character in name)
    return name[: name.rfind("/", 0, first) + 1]


def _matches(name: str, pattern: str) -> bool:
    """Whether each part between slashes matches its own pattern."""
    names, patterns = name.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


def _refuse_unsafe(place: BucketPlace, base: str, found: Sequence[StoredObject]) -> None:
    """Raise if the names can't all be files below one folder."""
    names = {each.name for each in found}
    for name in sorted(names):
        if reason := unsafe_reason(name):
            raise FetchError(f"{place.url}: the object {name!r} is refused: {reason}.")
        for parent in map(str, PurePosixPath(name.removeprefix(base)).parents):
            if base + parent in names:
                raise FetchError(
                    f"{place.url}: {base + parent!r} is an object and also the folder of "
                    f"{name!r}; on disk it can't be both."
                )


def _nothing_there(place: BucketPlace, base: str, store: Store) -> FetchError:
    above = base.rstrip("/").rpartition("/")[0]
    above += "/" if above else ""
    names = (each.name.removeprefix(above) for each in store.below(place, above))
    around = sorted({name.partition("/")[0] for name in names})
    where = f"{place.scheme}://{place.bucket}/{above.rstrip('/')}"
    if not around:
        return FetchError(f"{place.url}: nothing is there, nor elsewhere in {where}.")
    wanted = place.name.rstrip("/").rpartition("/")[2]
    hint = did_you_mean(wanted, around[:20], otherwise=f"In {where} there are")
    return FetchError(f"{place.url}: nothing is there (asked as {store.who}). {hint}")
