"""Addresses in stores that fsspec reaches: s3://, az://, hf://, memory://, gs://, ..."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import MissingDependency, RequestError

_PACKAGES = {
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "s3": "s3fs",
    "s3a": "s3fs",
    "az": "adlfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
}
_NO_STORES = ("file", "local", "http", "https", "ftp", "data")


def scheme_of(address: str) -> str | None:
    """What stands before `://`, in small letters; None where nothing does: a path.

    >>> scheme_of("S3://bucket/key"), scheme_of("/data/imagenet")
    ('s3', None)
    """
    scheme, separator, _ = address.partition("://")
    return scheme.lower() if separator else None


def is_store(scheme: str) -> bool:
    """Whether fsspec knows a store of that scheme; its package need not be installed."""
    from fsspec.registry import known_implementations, registry

    return scheme not in _NO_STORES and (scheme in known_implementations or scheme in registry)


def filesystem(address: str) -> Any:
    """The file system of an address, by fsspec; it remembers no listings.

    Raises:
        MissingDependency: its package isn't installed.
        RequestError: it can't be one, in the words of that package.
    """
    import fsspec

    scheme = scheme_of(address) or ""
    try:
        kind = fsspec.get_filesystem_class(scheme)
        return kind(**kind._get_kwargs_from_urls(address), use_listings_cache=False)
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        hint = f"pip install {package}" if package else str(error)
        raise MissingDependency(
            f"{address!r}: {scheme}:// needs a package that isn't installed: {hint}"
        ) from None
    except (ValueError, TypeError, OSError) as error:
        raise RequestError(f"{address!r}: {scheme}:// can't be opened: {error}") from None


def path(location: str | os.PathLike[str] | RemotePath) -> Path | RemotePath:
    """The file or folder at a path, where a `~` is filled in, or at an address.

    Raises:
        MissingDependency, RequestError: as `filesystem`; or nothing can be written at https://.
    """
    if isinstance(location, RemotePath):
        return location
    scheme = scheme_of(str(location))
    if scheme is None:
        return Path(location).expanduser()
    if not is_store(scheme):
        raise RequestError(
            f"{str(location)!r}: nothing can be written to {scheme}://; give a path, or an address "
            "in a store (gs://, s3://, az://, hf://, memory://)"
        )
    return RemotePath(str(location).rstrip("/"), filesystem(str(location)))


@dataclass(frozen=True, order=True)
class RemotePath:
    """A file or folder in a store: what is used of `pathlib.Path` to write results, and no more.

    Whatever the store's package raises is an OSError.
    """

    address: str
    _files: Any = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> RemotePath:
        return replace(self, address=f"{self.address}/{name}")

    @property
    def name(self) -> str:
        return self.address.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        return replace(self, address=self.address.rpartition("/")[0])

    def exists(self) -> bool:
        """Whether there is a file, or a folder with files."""
        return bool(self._call("exists"))

    def is_dir(self) -> bool:
        return bool(self._call("isdir"))

    def iterdir(self) -> Iterator[RemotePath]:
        try:
            names = self._call("ls", detail=False)
        except FileNotFoundError:  # without files there is no folder
            names = []
        return (self / name.rstrip("/").rpartition("/")[2] for name in names)

    def read_bytes(self) -> bytes:
        return bytes(self._call("cat_file"))

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def put(self, source: str) -> None:
        """Make it a copy of a file here: whole or not at all, as stores do.

        Raises:
            OSError: it can't be written, or isn't there as it is here: its size, and where the
                store has one its CRC-32C.
        """
        import google_crc32c

        self._call("put_file", before=(source,))
        there = self._call("info")
        checksum = google_crc32c.Checksum()
        with Path(source).open("rb") as file:
            size = sum(len(block) for block in checksum.consume(file, 1 << 20))
        if there["size"] != size:
            raise OSError(f"{there['size']:,} bytes arrived of {size:,}")
        if there.get("crc32c") not in (None, base64.b64encode(checksum.digest()).decode()):
            raise OSError("what arrived doesn't fit the store's checksum")

    def unlink(self) -> None:
        self._call("rm_file")

    def _call(self, method: str, *, before: tuple[str, ...] = (), **options: Any) -> Any:
        try:
            return getattr(self._files, method)(*before, self.address, **options)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - each package has its own
            raise OSError(f"{type(error).__name__}: {error}") from None
