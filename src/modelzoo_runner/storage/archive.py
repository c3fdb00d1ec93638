"""Extract one member of a tar archive and nothing else: no other file, link, mode or owner.

The whole archive is read to its end, so that an unsafe member is noticed wherever it is, and
refused by name.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, cast

from modelzoo_runner.errors import FetchError, UnsafeArchive
from modelzoo_runner.storage.locations import unsafe_reason
from modelzoo_runner.storage.partials import Partial

_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may hold: members, and bytes once it is decompressed.

    The bytes may also not be more than `ratio` times the archive's own, once they pass 1 GiB.
    """

    members: int = 10_000
    bytes: int = 8 * 2**30
    ratio: int = 100

    def bytes_of(self, archive: Path) -> int:
        """The bytes this archive may hold."""
        return min(self.bytes, max(2**30, self.ratio * archive.stat().st_size))


def extract(archive: Path, pattern: str, part: Partial, limits: Limits | None = None) -> None:
    """Write the one member whose name fits `pattern` to `part`, wherever in the archive it lies.

    A pattern with a slash is of the whole name (`*` stands for slashes too, and `*/x` also for an
    `x` at the top); one without is of the last part of the name.

    Raises:
        FetchError: not a tar archive, or cut short; no member fits, or several do.
        UnsafeArchive: naming the member that must not be there.
    """
    limits = limits or Limits()
    allowed = limits.bytes_of(archive)
    names: dict[str, bool] = {}
    with _opened(archive, allowed) as tar:
        for count, member in enumerate(tar, 1):
            name = _plain_name(member)
            reason = _reason_against(member, name, allowed)
            if reason is None and name in names:
                reason = "it is there twice"
            if reason is None and count > limits.members:
                reason = f"it comes after {limits.members:,} others, as many as are read"
            if reason is not None:
                raise UnsafeArchive(
                    f"{archive}: the member {member.name!r} is refused: {reason}. Nothing was "
                    "taken out."
                )
            if member.isreg():
                names[name] = fits(name, pattern)
                if names[name] and sum(names.values()) == 1:
                    part.restart(None)
                    part.expect(member.size)
                    content = tar.extractfile(member)
                    while content is not None and (block := content.read(_BLOCK)):
                        part.write(block)
    _require_one(archive, pattern, names)


def fits(name: str, pattern: str) -> bool:
    """Whether a member's name fits a pattern.

    >>> fits("ssd_mobilenet_v1_coco_2018_01_28/frozen_inference_graph.pb", "frozen_*.pb")
    True
    >>> fits("frozen_inference_graph.pb", "*/frozen_inference_graph.pb")
    True
    """
    if "/" not in pattern:
        return fnmatchcase(name.rpartition("/")[2], pattern)
    return fnmatchcase(name, pattern) or fnmatchcase(f"./{name}", pattern)


def _plain_name(member: tarfile.TarInfo) -> str:
    """The name as a path: tar itself writes `./a`, and `.` or `./` for the top."""
    name = member.name
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return "" if name == "." and member.isdir() else name


def _reason_against(member: tarfile.TarInfo, name: str, allowed: int) -> str | None:
    """Why a member must not be in an archive that is read here, or None."""
    if name and (reason := unsafe_reason(name)):
        return reason
    for what, test in _REFUSED.items():
        if test(member):
            return f"it is {what}"
    if not 0 <= member.size <= allowed - member.offset:
        return f"it says it is {member.size:,} bytes; at most {allowed:,} are read of this archive"
    return None


_REFUSED: dict[str, Callable[[tarfile.TarInfo], object]] = {
    "a symbolic link": tarfile.TarInfo.issym,
    "a hard link": tarfile.TarInfo.islnk,
    "a device": lambda member: member.ischr() or member.isblk(),
    "a named pipe": tarfile.TarInfo.isfifo,
    "a sparse file": tarfile.TarInfo.issparse,
    "neither a file nor a folder": lambda member: not (member.isreg() or member.isdir()),
    "a file that would run as its owner": lambda member: member.isreg() and member.mode & 0o6000,
}


def _require_one(archive: Path, pattern: str, names: dict[str, bool]) -> None:
    fitting = [name for name, fit in names.items() if fit]
    if not fitting:
        shown = ", ".join(list(names)[:10]) + (", ..." if len(names) > 10 else "")
        raise FetchError(
            f"{archive}: no member fits {pattern!r}; the files in it: {shown or 'none'}."
        )
    if len(fitting) > 1:
        raise FetchError(
            f"{archive}: {len(fitting)} members fit {pattern!r}: {', '.join(fitting[:10])}. "
            "Give a pattern that fits one."
        )


@contextmanager
def _opened(archive: Path, allowed: int) -> Iterator[tarfile.TarFile]:
    """The archive, gzipped or plain, read forward and no further than `allowed` bytes."""
    with archive.open("rb") as raw:
        start = raw.read(16)
        raw.seek(0)
        packed = start.startswith(b"\x1f\x8b")
        forward = ForwardReader(gzip.GzipFile(fileobj=raw) if packed else raw, archive, allowed)
        try:
            with tarfile.TarFile(fileobj=cast("IO[bytes]", forward), mode="r") as tar:
                yield tar
            # The checksum of gzip is at the very end.
            forward.drain()
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, RecursionError) as error:
            raise FetchError(
                f"{archive}: not a tar archive, or one that is cut short or damaged ({error}); it "
                f"is {archive.stat().st_size:,} bytes and begins with {start!r}."
            ) from None


class ForwardReader:
    """The part of a binary file that `tarfile` needs, which only goes forward, and only so far.

    `tarfile` trusts the sizes it reads: a header can make it read gigabytes at once, or send it
    back to read the same header forever. This refuses both.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile, archive: Path, allowed: int) -> None:
        self._file = file
        self._archive = archive
        self._allowed = allowed
        self._position = 0
        self._last = b""
        self._again = b""

    def tell(self) -> int:
        """How many bytes are behind."""
        return self._position

    def read(self, count: int) -> bytes:
        """The next `count` bytes, or what is left.

        Raises:
            UnsafeArchive: more than a member's header or a block of it, or beyond what is allowed.
        """
        if not 0 <= count <= _BLOCK:
            raise self._refusal(f"a header of {count:,} bytes")
        data = self._again + self._file.read(count - len(self._again)) if count else b""
        if count:
            self._again = b""
        self._position += len(data)
        if self._position > self._allowed:
            raise self._refusal(f"more than {self._allowed:,} bytes after decompression")
        self._last = data[-1:] or self._last
        return data

    def seek(self, position: int) -> int:
        """Go forward to a byte; or one back, which `tarfile` does to see whether it is there."""
        if position == self._position - 1 and self._last:
            self._again, self._position = self._last, position
        elif position < self._position:
            raise self._refusal("a size that leads backwards")
        while self._position < position:
            if not self.read(min(_BLOCK, position - self._position)):
                break
        return self._position

    def drain(self) -> None:
        """Read to the end."""
        while self.read(_BLOCK):
            pass

    def _refusal(self, what: str) -> UnsafeArchive:
        return UnsafeArchive(f"{self._archive}: refused: it holds {what}. Nothing was taken out.")
