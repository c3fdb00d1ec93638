"""What a location says, before anybody is asked: a path, a file on the web, a place in a store."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values import remote

GLOB = "*?["
"""The characters that make a location in a store a pattern."""


@dataclass(frozen=True)
class WebFile:
    """One file behind an http or https URL. `name` is what it is called on disk."""

    url: str
    name: str

    @property
    def encrypted(self) -> bool:
        """Whether nobody on the way can change what arrives: https, or it never leaves here."""
        parts = urlsplit(self.url)
        return parts.scheme == "https" or _is_this_machine(parts.hostname or "")


@dataclass(frozen=True)
class BucketPlace:
    """A place in a bucket of a store: an object, a folder, or a pattern of objects.

    `name` is what follows the bucket: empty or ending in `/` for a folder. `scheme` is the store's.
    """

    bucket: str
    name: str
    scheme: str = "gs"

    @property
    def url(self) -> str:
        """The location as it is written: gs://bucket/name."""
        return f"{self.scheme}://{self.bucket}/{self.name}"

    @property
    def is_pattern(self) -> bool:
        """Whether the name holds `*`, `?` or `[`."""
        return any(character in self.name for character in GLOB)

    @property
    def is_folder(self) -> bool:
        """Whether the name can only be a folder's."""
        return not self.is_pattern and (not self.name or self.name.endswith("/"))


def parse(location: str | Path) -> Path | WebFile | BucketPlace:
    """What `location` is.

    >>> parse("gs://images/imagenet/validation-*")
    BucketPlace(bucket='images', name='imagenet/validation-*', scheme='gs')
    >>> parse("https://example.org/models/resnet50.pb?version=2").name
    'resnet50.pb'

    Raises:
        RequestError: a scheme that isn't spoken here, or a URL without what it needs.
    """
    one_slash = re.match("([a-z][a-z0-9]+):/(?!/)", str(location), re.IGNORECASE)
    if one_slash and (one_slash[1].lower() in _SPOKEN or remote.is_store(one_slash[1].lower())):
        scheme, rest = one_slash[1], str(location)[one_slash.end() :]
        raise RequestError(
            f"{str(location)!r}: one slash is missing, as after pathlib.Path, which is for paths "
            f"of this machine; write {scheme + '://' + rest!r}."
        )
    if isinstance(location, Path):
        return _at_home(location)
    if "\0" in location or not location:
        raise RequestError(f"{location!r}: not a location; {_ALLOWED}.")
    scheme = remote.scheme_of(location)
    if scheme is None:
        return _at_home(Path(location))
    if scheme == "file":
        return Path(unquote(urlsplit(location).path))
    if scheme in ("http", "https"):
        return _web_file(location)
    if scheme == "gs" or remote.is_store(scheme):
        return _bucket_place(location, scheme)
    raise RequestError(f"{location!r}: {scheme}:// is not spoken here; {_ALLOWED}.")


def with_endpoint(url: str, endpoint: str | None) -> str:
    """The URL to ask instead of `url` when `endpoint` stands in for Google Cloud Storage."""
    public = "https://storage.googleapis.com/"
    if endpoint is None or not url.startswith(public):
        return url
    return f"{endpoint}/{url.removeprefix(public)}"


def unsafe_reason(name: str) -> str | None:
    """Why the name of an object or an archive's member can't be a path below a folder, or None.

    >>> unsafe_reason("a/../b")
    "it has a '..' in it"
    >>> unsafe_reason("a/b") is None
    True
    """
    parts = name.split("/")
    if name.startswith("/"):
        return "it is an absolute path"
    if ".." in parts:
        return "it has a '..' in it"
    if "" in parts or "." in parts:
        return "it has an empty part or a '.' in it"
    if any(not character.isprintable() for character in name) or "\\" in name:
        return "it has a control character or a backslash in it"
    if any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts):
        return "a part of it is longer than the 255 bytes a file name can have"
    return None


_SPOKEN = ("gs", "http", "https")
_ALLOWED = (
    "a location is a path, an https:// URL, gs://bucket/name, or an address that fsspec knows "
    "(s3://, az://, hf://, ...)"
)


def _at_home(path: Path) -> Path:
    """The path with `~` filled in; a folder may also be called `~x` where no user is."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _bucket_place(location: str, scheme: str) -> BucketPlace:
    bucket, _, name = location.partition("://")[2].partition("/")
    letters = "._-" if scheme == "gs" else "._-@:"
    if not bucket or not all(each.isalnum() or each in letters for each in bucket):
        raise RequestError(
            f"{location!r}: no bucket of that kind; write {scheme}://bucket/object, "
            f"{scheme}://bucket/folder/ or {scheme}://bucket/folder/validation-*."
        )
    if name.strip("/") and (reason := unsafe_reason(name.removesuffix("/"))):
        raise RequestError(f"{location!r}: {name!r} can't be a name in a bucket here: {reason}.")
    if name.startswith("/"):
        raise RequestError(f"{location!r}: the name after the bucket is empty.")
    return BucketPlace(bucket, name, scheme)


def _web_file(location: str) -> WebFile:
    if not location.isprintable():
        raise RequestError(f"{location!r}: a URL has no control characters; {_ALLOWED}.")
    try:
        parts = urlsplit(location)
        _ = parts.port
    except ValueError as error:
        raise RequestError(f"{location!r}: not a URL: {error}.") from None
    if not parts.hostname:
        raise RequestError(f"{location!r}: the URL has no host.")
    if parts.username is not None:
        # It would end up in the cache's records and in every message.
        raise RequestError(
            f"{parts.scheme}://...@{parts.hostname}{parts.path}: a URL with a user name in it is "
            "not taken; download the file yourself and give its path."
        )
    name = unquote(parts.path).rstrip("/").rpartition("/")[2]
    if not name or unsafe_reason(name) is not None:
        name = "download"
    return WebFile(urlunsplit(parts._replace(fragment="")), name)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
