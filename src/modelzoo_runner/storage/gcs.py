"""Google Cloud Storage: what a gs:// location stands for, and getting one object of it.

An object is fetched by its generation, so all of its bytes are of one version, and compared with
its CRC-32C, which every object has (composite ones have no MD5).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modelzoo_runner.errors import FetchError, did_you_mean
from modelzoo_runner.storage import https, retrying
from modelzoo_runner.storage.access import Access, Account
from modelzoo_runner.storage.locations import GLOB, BucketPlace, unsafe_reason
from modelzoo_runner.storage.partials import Partial
from modelzoo_runner.storage.retrying import Interrupted

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object of a bucket at one generation. `crc32c` is base64, as Google writes it."""

    bucket: str
    name: str
    generation: str
    size: int
    crc32c: str | None

    @property
    def url(self) -> str:
        """The location of this object alone."""
        return f"gs://{self.bucket}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a location stands for: one object (`base` is None), or those below the folder `base`.

    `base` is empty or ends in `/`. The objects are sorted by name.
    """

    base: str | None
    objects: tuple[StoredObject, ...]


def resolve(place: BucketPlace, access: Access) -> Listing:
    """The objects a location stands for.

    A name with no slash at its end is an object's if there is one, and otherwise a folder's. In a
    pattern, `*`, `?` and `[...]` stand for parts of a name between slashes.

    Raises:
        FetchError: nothing is there; it may not be read; or a name can't be a file's.
    """
    if place.is_pattern:
        base = _before_pattern(place.name)
        found = [each for each in _below(place, base, access) if _matches(each.name, place.name)]
    elif place.is_folder:
        base = place.name
        found = _below(place, base, access)
    else:
        if (one := _object(place, access)) is not None:
            return Listing(base=None, objects=(one,))
        base = f"{place.name}/"
        found = _below(place, base, access)
    if not found:
        raise _nothing_there(place, base, access)
    _refuse_unsafe(place, base, found)
    return Listing(base=base, objects=tuple(sorted(found, key=lambda each: each.name)))


def download(stored: StoredObject, part: Partial, access: Access) -> None:
    """Write one object to `part`, going on from what is there of the same generation.

    Raises:
        FetchError: in words, with the account that asked.
    """
    if part.version != stored.generation:
        part.restart(stored.generation)
    retrying.until_done(
        lambda: access.once(stored.url, lambda account: _attempt(stored, part, access, account)),
        done=lambda: part.done,
        retry=access.settings.retry,
        what=stored.url,
    )


def _attempt(stored: StoredObject, part: Partial, access: Access, account: Account) -> None:
    # Google's own download reads 8 kB at a time and takes several times the CPU time.
    url = media_url(stored, access.settings.endpoint)
    retry = access.settings.retry
    if part.done < stored.size or not stored.size:
        https.attempt(account.session, url, part, retry, size=stored.size, refuse=refuse)
    if stored.crc32c is not None and base64.b64decode(stored.crc32c) != part.crc32c:
        part.restart(stored.generation)
        raise Interrupted("what came does not fit the object's crc32c")


def media_url(stored: StoredObject, endpoint: str | None) -> str:
    """Where the bytes of an object at its generation are."""
    name = quote(stored.name, safe="")
    return (
        f"{endpoint or 'https://storage.googleapis.com'}/download/storage/v1/b/{stored.bucket}/o/"
        f"{name}?alt=media&generation={stored.generation}"
    )


def refuse(response: requests.Response) -> None:
    """Raise, as Google's own libraries would, for what is a matter of who asks."""
    from google.api_core.exceptions import from_http_response

    if response.status_code in (401, 403, 404):
        raise from_http_response(response)


def _object(place: BucketPlace, access: Access) -> StoredObject | None:
    blob = access.ask(
        place.url,
        lambda account: account.client.bucket(place.bucket).get_blob(
            place.name, retry=None, timeout=_timeout(access)
        ),
    )
    return None if blob is None else _stored(blob)


def _below(place: BucketPlace, base: str, access: Access) -> list[StoredObject]:
    """The objects below a folder, without the empty ones that only stand for folders."""
    blobs = access.ask(
        place.url,
        lambda account: list(
            account.client.list_blobs(
                place.bucket, prefix=base, retry=None, timeout=_timeout(access)
            )
        ),
    )
    return [_stored(blob) for blob in blobs if not blob.name.endswith("/")]


def _timeout(access: Access) -> tuple[float, float]:
    """Seconds to connect, and seconds between two pieces of a response."""
    return access.settings.retry.connect, access.settings.retry.read


def _stored(blob: Any) -> StoredObject:
    if blob.content_encoding not in (None, "", "identity"):
        raise FetchError(
            f"gs://{blob.bucket.name}/{blob.name}: it is stored with Content-Encoding: "
            f"{blob.content_encoding}, so what arrives isn't what was put there; store it without."
        )
    return StoredObject(
        bucket=blob.bucket.name,
        name=blob.name,
        generation=str(blob.generation),
        size=int(blob.size),
        crc32c=blob.crc32c,
    )


def _before_pattern(name: str) -> str:
    """The folder in front of the first part of a name that is a pattern."""
    first = min(name.index(character) for character in GLOB if character in name)
    return name[: name.rfind("/", 0, first) + 1]


def _matches(name: str, pattern: str) -> bool:
    """Whether each part between slashes matches its own pattern.

    >>> _matches("data/validation-00000-of-00128", "data/validation-*")
    True
    >>> _matches("data/more/validation-00000-of-00128", "data/*")
    False
    """
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


def _nothing_there(place: BucketPlace, base: str, access: Access) -> FetchError:
    above = base.rstrip("/").rpartition("/")[0]
    around = sorted(
        {
            each.name.removeprefix(f"{above}/").partition("/")[0]
            for each in _below(place, f"{above}/" if above else "", access)
        }
    )
    wanted = place.name.rstrip("/").rpartition("/")[2]
    where = f"gs://{place.bucket}/{above}"
    if not around:
        return FetchError(f"{place.url}: nothing is there, nor elsewhere in {where}.")
    hint = did_you_mean(wanted, around[:20], otherwise=f"In {where} there are")
    return FetchError(f"{place.url}: nothing is there (asked as {access.account.who}). {hint}")
