"""Any other store that fsspec knows: s3://, az://, hf://, memory://, ...

Its packages find credentials by themselves, and in fsspec's own configuration. They pin no version
and compare no checksum: so an object is asked about again when all of it has come, and compared
where the store holds a CRC-32C.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage import retrying
from modelzoo_runner.storage.listing import StoredObject
from modelzoo_runner.storage.locations import BucketPlace
from modelzoo_runner.storage.retrying import Interrupted
from modelzoo_runner.storage.settings import Settings
from modelzoo_runner.values import remote

T = TypeVar("T")

_PIECE = 1 << 20
_AHEAD = 8 << 20
# In a listing S3 names no VersionId, so what both a listing and an object's facts have comes first.
_VERSIONS = ("generation", "ETag", "etag", "blob_id", "oid", "VersionId", "version_id", "mtime")
_DATES = ("last_modified", "LastModified", "updated", "created")


class FsspecStore:
    """A store by fsspec. Threads may share it."""

    who = "the environment's account"

    def __init__(self, place: BucketPlace, settings: Settings) -> None:
        self.settings = settings
        self._files = remote.filesystem(place.url)

    def find(self, place: BucketPlace) -> StoredObject | None:
        return self._ask(place.url, lambda: self._find(place))

    def below(self, place: BucketPlace, base: str) -> list[StoredObject]:
        folder = self._path(place, base)

        def found() -> list[StoredObject]:
            try:
                facts = self._files.find(folder, detail=True).values()
            except FileNotFoundError:
                return []
            every = (self._stored(place, each) for each in facts if each["type"] == "file")
            return [each for each in every if each.name.startswith(base)]

        return self._ask(place.url, found)

    def blocks(self, stored: StoredObject, start: int) -> Iterator[bytes]:
        place = BucketPlace(stored.bucket, stored.name, stored.scheme)
        path = self._path(place, place.name)
        file = self._once(
            stored.url,
            lambda: self._files.open(path, "rb", block_size=_AHEAD, cache_type="readahead"),
        )
        with file:
            self._once(stored.url, lambda: file.seek(start))
            while block := self._once(stored.url, lambda: file.read(_PIECE)):
                start += len(block)
                if (
                    start >= stored.size
                    and self._once(stored.url, lambda: self._find(place)) != stored
                ):
                    raise FetchError(f"{stored.url}: it was overwritten while it was fetched.")
                yield block

    def _find(self, place: BucketPlace) -> StoredObject | None:
        try:
            facts = self._files.info(self._path(place, place.name))
        except FileNotFoundError:
            return None
        return self._stored(place, facts) if facts["type"] == "file" else None

    def _path(self, place: BucketPlace, name: str) -> str:
        """What fsspec calls a name in the store."""
        return str(self._files._strip_protocol(f"{place.scheme}://{place.bucket}/{name}"))

    def _stored(self, place: BucketPlace, facts: Mapping[str, Any]) -> StoredObject:
        top = self._path(place, "").rstrip("/")
        version = next((facts[key] for key in (*_VERSIONS, *_DATES) if facts.get(key)), None)
        if isinstance(version, datetime.datetime):  # the same moment is a number in a listing
            version = version.timestamp()
        return StoredObject(
            scheme=place.scheme,
            bucket=place.bucket,
            name=facts["name"].removeprefix(top).lstrip("/"),
            generation=None if version is None else str(version),
            size=int(facts["size"]),
            crc32c=facts.get("crc32c"),
        )

    def _ask(self, url: str, action: Callable[[], T]) -> T:
        """What `action` returns, tried again when that may help."""
        once = functools.partial(self._once, url, action)
        return retrying.until_done(once, retry=self.settings.retry, what=url)

    def _once(self, url: str, action: Callable[[], T]) -> T:
        """What `action` returns; whatever a store's package raises, as one of ours."""
        try:
            return action()
        except FileNotFoundError:
            raise FetchError(
                f"{url}: nothing is there, or it was removed while it was fetched."
            ) from None
        except PermissionError as error:
            raise FetchError(f"{url}: {self.who} may not read it: {error}.") from None
        except OSError as error:
            raise Interrupted(str(error) or type(error).__name__) from None
        except Exception as error:  # noqa: BLE001 - each package has its own
            raise FetchError(f"{url}: {type(error).__name__}: {error}.") from None
