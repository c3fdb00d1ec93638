"""The objects of a folder in a store, listed once and fetched by name as they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from modelzoo_runner.storage import cache, folders, locations
from modelzoo_runner.storage.listing import Listing
from modelzoo_runner.storage.locations import BucketPlace
from modelzoo_runner.storage.settings import Options, resolve_settings


@dataclass(frozen=True, kw_only=True)
class ListedFolder:
    """A location, and the objects below its folder, each at one version."""

    place: BucketPlace
    listing: Listing

    @property
    def folder(self) -> str:
        """The folder that the objects are in, as their names begin."""
        return self.listing.base or ""

    @property
    def sizes(self) -> Mapping[str, int]:
        """The objects' sizes in bytes, by name."""
        return {each.name: each.size for each in self.listing.objects}


def look(location: str, **options: Unpack[Options]) -> ListedFolder | None:
    """The objects at a location, or `None` where that is no folder in a store.

    Raises:
        FetchError: nothing is there, it may not be read, or nothing is known of it offline.
    """
    place = locations.parse(location)
    if not isinstance(place, BucketPlace):
        return None
    found = folders.listed(place, resolve_settings(**options))
    return None if found.base is None else ListedFolder(place=place, listing=found)


def fetch(found: ListedFolder, names: Iterable[str], **options: Unpack[Options]) -> None:
    """Have the objects of these names in the cache.

    Raises:
        FetchError: one can't be fetched.
    """
    wanted = set(names)
    objects = tuple(each for each in found.listing.objects if each.name in wanted)
    some = Listing(base=found.listing.base, objects=objects)
    folders.fetch(found.place, some, resolve_settings(**options))


def paths(found: ListedFolder, **options: Unpack[Options]) -> Mapping[str, Path]:
    """Where in the cache the objects are once they are fetched, by name."""
    root = resolve_settings(**options).cache
    return {
        each.name: cache.path_of(root, each.url, folders.file_name(each))
        for each in found.listing.objects
    }
