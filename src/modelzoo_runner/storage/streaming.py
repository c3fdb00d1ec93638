"""Reading what is in a store where it is, without a copy on the disk.

    folder = streaming.path("gs://bucket/imagenet/")
    for shard in sorted(folder.iterdir()):
        with shard.open("rb") as file:
            ...                             # its bytes in order, compared at the end

TensorFlow's own gs:// could read such paths too. It takes as much processor time, but it can't be
sent to another server, compares no checksum and doesn't notice an object that changes. Files that
gcsfs opens took 1.7 to 8.9 times the processor time, depending on how it was set to read ahead, and
are not compared with a checksum either; as gcs://, which is read through it here, they took twice
that of gs:// (`benchmarks/stream.py`).
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO, Literal, Unpack, cast

from modelzoo_runner.errors import RequestError
from modelzoo_runner.storage import listing, locations, transfer
from modelzoo_runner.storage.listing import Store, StoredObject
from modelzoo_runner.storage.locations import BucketPlace
from modelzoo_runner.storage.settings import Options, resolve_settings
from modelzoo_runner.values.trees import TOP, Size, Tree, TreePath


def path(location: str, **options: Unpack[Options]) -> BucketPath:
    """The object at a location in a store, or the folder with all there is at it.

    The objects are those of now, each at the version it has now.

    Raises:
        RequestError: not a location in a store; or offline.
        FetchError: nothing is there, or it may not be read.
    """
    settings = resolve_settings(**options)
    place = locations.parse(location)
    if not isinstance(place, BucketPlace):
        raise RequestError(f"{location}: only what is in a bucket (gs://...) can be streamed.")
    if settings.offline:
        raise RequestError(f"{location}: offline, nothing can be streamed; use what is cached.")
    store = transfer.open_store(place, settings)
    found = listing.resolve(place, store)
    start = found.objects[0].name if found.base is None else found.base
    return BucketPath(
        PurePosixPath(start),
        Tree.of({each.name: each for each in found.objects}),
        f"{place.scheme}://{place.bucket}",
        store,
    )


@dataclass(frozen=True, order=True)
class BucketPath(TreePath[StoredObject]):
    """An object or a folder in a store: what is used of `pathlib.Path` to read, and no more.

    Reading raises FetchError when it can't go on, and HashMismatch at an object's end when its
    bytes don't fit its CRC-32C.
    """

    _top: str = field(compare=False, repr=False)
    _store: Store = field(compare=False, repr=False)

    def __str__(self) -> str:
        """Its location: gs://bucket/name."""
        return f"{self._top}/{'' if self._name == TOP else self._name}"

    def stat(self) -> Size:
        """The object's size, as `st_size`."""
        return Size(self._object().size)

    def open(self, mode: Literal["rb"], buffering: int = -1) -> BinaryIO:
        """The object's bytes, from the first to the last: read ahead, and not to seek in."""
        # A small buffer, whatever was asked for: what is larger comes in one piece, copied once.
        return cast("BinaryIO", io.BufferedReader(transfer.ReadAhead(self.blocks())))

    def read_bytes(self) -> bytes:
        return b"".join(self.blocks())

    def blocks(self) -> Iterator[bytes]:
        """The object's bytes in blocks of at most a MiB, asked for as they are used."""
        return transfer.blocks(self._object(), self._store)

    def _object(self) -> StoredObject:
        try:
            return self._tree.files[self._name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from None
