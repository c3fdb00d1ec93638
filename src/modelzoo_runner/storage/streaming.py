"""Reading a bucket's objects without a copy on the disk.

    for shard in shards("gs://bucket/imagenet/validation-*"):
        with shard.open() as file:
            ...                             # its bytes in order, compared at the end

    for folder in folders("gs://bucket/imagenet/"):
        ...                                 # a few at a time, in memory, under their names

TensorFlow's own gs:// could read such paths too. It takes as much processor time, but it can't be
sent to another server, compares no checksum and doesn't notice an object that changes; gcsfs takes
two to seven times as much (`benchmarks/stream.py`).
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Unpack, cast

from modelzoo_runner.errors import RequestError
from modelzoo_runner.storage import gcs, locations
from modelzoo_runner.storage.access import Access
from modelzoo_runner.storage.gcs import StoredObject
from modelzoo_runner.storage.locations import BucketPlace
from modelzoo_runner.storage.reader import ObjectReader
from modelzoo_runner.storage.settings import Options, Progress, decide

_BUFFER = 1 << 20


@dataclass(frozen=True)
class Shard:
    """One object of a bucket that is read where it is. `name` is below the location's folder."""

    name: str
    stored: StoredObject
    access: Access

    def open(self) -> BinaryIO:
        """Its bytes, from the first to the last: a file to read, not to seek in.

        Reading raises FetchError when it can't go on, and HashMismatch at the end when the bytes
        don't fit the object's CRC-32C.
        """
        return cast("BinaryIO", io.BufferedReader(ObjectReader(self.stored, self.access), _BUFFER))


def shards(location: str, **options: Unpack[Options]) -> tuple[Shard, ...]:
    """The objects of a gs:// location, by name, at the generation they have now.

    Raises:
        RequestError: not a gs:// location; or offline.
        FetchError: nothing is there, or it may not be read.
    """
    settings = decide(**options)
    place = locations.parse(location)
    if not isinstance(place, BucketPlace):
        raise RequestError(f"{location}: only what is in a bucket (gs://...) can be streamed.")
    if settings.offline:
        raise RequestError(f"{location}: offline, nothing can be streamed; use what is cached.")
    access = Access(settings)
    listing = gcs.resolve(place, access)
    base = place.name.rpartition("/")[0] + "/" if listing.base is None else listing.base
    return tuple(Shard(each.name.removeprefix(base), each, access) for each in listing.objects)


def folders(
    location: str, *, at_once: int = 4, **options: Unpack[Options]
) -> Generator[Path, None, None]:
    """Folders with the next `at_once` objects each, in the order of their names.

    The files are in memory and under their own names. A folder is gone when the next one is asked
    for, which is read in the meantime, so twice `at_once` objects are held. `close()` ends it
    early.

    Raises:
        RequestError: not a gs:// location; or offline.
        FetchError, HashMismatch: while iterating, too: an object can't be read, or isn't right.
    """
    return _in_turn(location, shards(location, **options), at_once, options.get("progress"))


def _in_turn(
    location: str, found: Sequence[Shard], at_once: int, progress: Progress | None
) -> Generator[Path, None, None]:
    groups = [found[start : start + at_once] for start in range(0, len(found), at_once)]
    total = sum(shard.stored.size for shard in found)
    done = 0
    enough = threading.Event()
    home = Path(tempfile.mkdtemp(prefix="modelzoo_runner-"))
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="stream")
    coming = [pool.submit(_into_memory, shard, enough) for shard in groups[0]]
    try:
        for number, group in enumerate(groups):
            with contextlib.ExitStack() as held:
                files = [held.enter_context(each.result()) for each in coming]
                following = groups[number + 1] if number + 1 < len(groups) else ()
                coming = [pool.submit(_into_memory, shard, enough) for shard in following]
                done += sum(shard.stored.size for shard in group)
                if progress is not None:
                    progress(location, done, total)
                folder = home / str(number)
                _link(folder, group, files)
                yield folder
                shutil.rmtree(folder)
    finally:
        enough.set()
        pool.shutdown(cancel_futures=True)
        for each in coming:
            if not each.cancelled() and each.exception() is None:
                each.result().close()
        shutil.rmtree(home)


def _into_memory(shard: Shard, enough: threading.Event) -> BinaryIO:
    """The shard as a file that is nowhere but in memory."""
    memory = os.fdopen(os.memfd_create("shard"), "wb", buffering=0)
    try:
        with shard.open() as file:
            while not enough.is_set() and (block := file.read(_BUFFER)):
                memory.write(block)
    except BaseException:
        memory.close()
        raise
    return cast("BinaryIO", memory)


def _link(folder: Path, group: Sequence[Shard], files: Sequence[BinaryIO]) -> None:
    for shard, file in zip(group, files, strict=True):
        path = folder / shard.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
