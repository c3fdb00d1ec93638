"""TFRecord files: their framing, and what is wrong with a broken one.

A file is a row of frames (`tensorflow/core/lib/io/record_writer.h`)::

    uint64 length | uint32 masked CRC-32C of the length | the record | uint32 masked CRC-32C of it

all little-endian. TensorFlow's own reader is faster in a pipeline and says little when it stops;
the functions here name the file, the byte and the record.
"""

from __future__ import annotations

import functools
import os
import struct
import zlib
from collections.abc import Container, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from modelzoo_runner.data import paths
from modelzoo_runner.data.manifest import ListedPath
from modelzoo_runner.data.output import explained
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import DataError
from modelzoo_runner.values import atomic

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = _LENGTH.size + _CRC.size
_FRAMING = _HEADER + _CRC.size


class Entry(NamedTuple):
    """Where a record is: the byte its frame begins at, and the length of the record in bytes."""

    offset: int
    length: int


def read_records(
    path: ReadablePath | str, *, first: int = 0, only: Container[int] | None = None
) -> Generator[bytes, None, None]:
    """The records of a file, in order, each checked against both of its checksums.

    Those before number `first`, and those whose number isn't in `only`, are skipped unread.

    Raises:
        DataError: naming file, record and byte where the file is broken: an empty, truncated or
            compressed file, or a checksum that doesn't fit.
    """
    with _opened(path) as (file, size):
        for number, entry in enumerate(_entries(path, file, size)):
            if number < first or (only is not None and number not in only):
                _pass_over(file, entry)
                continue
            record = file.read(entry.length)
            (expected,) = _CRC.unpack(file.read(_CRC.size))
            if _masked_crc(record) != expected:
                raise _broken(path, number, entry.offset, "the record's checksum is wrong")
            yield record


def index(path: ReadablePath | str) -> list[Entry]:
    """Where each record of a file is, from the lengths alone: the records are not read.

    Raises:
        DataError: as `read_records`, but a damaged record with a sound length is not noticed.
    """
    found = []
    with _opened(path, buffering=0) as (file, size):
        for entry in _entries(path, file, size):
            found.append(entry)
            _pass_over(file, entry)
    return found


def count(path: ReadablePath | str) -> int:
    """The number of records in a file, from its framing; looked up once as long as it is the same.

    Raises:
        DataError: as `index`.
    """
    here = paths.of(path)
    if isinstance(here, ListedPath) and here.records is not None:
        return here.records
    if not isinstance(here, Path):
        return len(index(here))
    try:
        status = here.stat()
    except OSError:
        return len(index(here))  # which says why it can't be read
    return _count(here, status.st_size, status.st_mtime_ns)


@functools.cache
def _count(path: Path, size: int, modified: int) -> int:
    return len(index(path))


def offset_of(path: ReadablePath | str, number: int) -> int:
    """The byte at which a record's frame begins, or the file's size for the number after the last.

    Raises:
        DataError: as `index`.
    """
    entries = index(path)
    if number < len(entries):
        return entries[number].offset
    last = entries[-1]
    return last.offset + last.length + _FRAMING


def scan(path: ReadablePath | str) -> int:
    """The number of records in a file, after reading and checking all of them.

    Raises:
        DataError: as `read_records`.
    """
    return sum(1 for _ in read_records(path))


class RecordWriter:
    """Appends records to an open file; `records` is how many."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.records = 0
        self._path = path
        self._file = file

    def write(self, record: bytes) -> None:
        """Append one record."""
        length = _LENGTH.pack(len(record))
        with explained(self._path):
            self._file.write(length + _CRC.pack(_masked_crc(length)))
            self._file.write(record)
            self._file.write(_CRC.pack(_masked_crc(record)))
        self.records += 1


@contextmanager
def writing(path: Path | str) -> Iterator[RecordWriter]:
    """A record file to write to, which appears whole, and durably, or not at all.

    >>> with writing("/tmp/two.tfrecord") as writer:
    ...     writer.write(b"one")
    ...     writer.write(b"two")
    >>> list(read_records("/tmp/two.tfrecord"))
    [b'one', b'two']

    Raises:
        DataError: when the file can't be written, or nothing was: a file without a record is what
            an interrupted copy leaves, so none is made on purpose.
    """
    path = Path(path)
    with ExitStack() as stack:
        with explained(path):
            file = stack.enter_context(atomic.writing(path))
        writer = RecordWriter(path, file)
        yield writer  # errors of the block itself pass unchanged
        if not writer.records:
            raise DataError(f"{path}: no record was written, so the file is not made.")
        with explained(path):
            stack.close()


def place(path: ReadablePath | str, number: int) -> str:
    """How a record is named: `number` counts from 0, the byte is where its frame begins."""
    return _place(path, number, index(path)[number].offset)


def _place(path: ReadablePath | str, number: int, offset: int) -> str:
    return f"{path}: record {number} at byte {offset}"


def _pass_over(file: BinaryIO, entry: Entry) -> None:
    """Leave out a record; a file that only goes forward has to be read for it."""
    length = entry.length + _CRC.size
    if file.seekable():
        file.seek(length, os.SEEK_CUR)
    else:
        file.read(length)


def _broken(path: ReadablePath | str, number: int, offset: int, what: str) -> DataError:
    return DataError(
        f"{_place(path, number, offset)}: {what}. The file is damaged: get or convert it again."
    )


def _entries(path: ReadablePath | str, file: BinaryIO, size: int) -> Iterator[Entry]:
    """Each frame's place, with `file` left at the beginning of its record.

    The caller moves `file` on, past the record and its checksum, before asking for the next.
    """
    offset = number = 0
    while offset < size:
        header = file.read(_HEADER)
        if len(header) == _HEADER:
            (length,) = _LENGTH.unpack_from(header)
            (expected,) = _CRC.unpack_from(header, _LENGTH.size)
            if _masked_crc(header[: _LENGTH.size]) != expected:
                raise _not_a_header(path, number, offset, header)
        # Before anything is read: a damaged length must not become an allocation.
        left = size - offset
        if left < _FRAMING or length > left - _FRAMING:
            needed = f"at least {_FRAMING}" if left < _FRAMING else f"{length + _FRAMING}"
            raise _broken(
                path, number, offset, f"the file ends in it: {needed} bytes needed, {left} there"
            )
        yield Entry(offset, length)
        offset += _FRAMING + length
        number += 1


def _not_a_header(path: ReadablePath | str, number: int, offset: int, header: bytes) -> DataError:
    """The error for a frame whose length doesn't fit its checksum."""
    if number == 0:
        compression = _compression(header)
        if compression:
            return DataError(
                f"{path}: the file is {compression}-compressed. Records are read uncompressed: "
                "decompress it first."
            )
    if not any(header):
        what = "zeros where its length should be, as an interrupted copy leaves them"
    else:
        what = "the length's checksum is wrong"
    if number == 0:
        what += ", so this may not be a TFRecord file at all"
    return _broken(path, number, offset, what)


def _compression(header: bytes) -> str | None:
    for name, window_bits in (("gzip", 31), ("zlib", 15)):
        try:
            zlib.decompressobj(window_bits).decompress(header)
        except zlib.error:
            continue
        return name
    return None


@contextmanager
def _opened(
    path: ReadablePath | str, *, buffering: int = 1 << 20
) -> Iterator[tuple[BinaryIO, int]]:
    """A record file open for reading, and its size in bytes."""
    try:
        here = paths.of(path)
        size = here.stat().st_size
        with here.open("rb", buffering) as file:
            if size == 0:
                raise DataError(f"{path}: the file is empty (0 bytes): get or convert it again.")
            yield file, size
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error


def _masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and shifted as `tensorflow/core/lib/hash/crc32c.h` does.

    >>> hex(_masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    import google_crc32c

    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
