"""Files that are opened and hashed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelzoo_runner.values import files


def test_a_file_is_hashed_again_only_once_it_was_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(b"one")
    # As if it had been there for a while.
    monkeypatch.setattr(files, "SETTLED_NS", -(10**9))
    one = files.known_sha256(path)
    assert one == files.sha256_of(path)
    with monkeypatch.context() as patch:
        patch.setattr(files.hashlib, "file_digest", None)
        assert files.known_sha256(path) == one
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert files.known_sha256(path) == files.sha256_of(path) != one


def test_a_file_that_changes_just_now_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    for content in (b"one", b"two", b"six"):
        path.write_bytes(content)
        assert files.known_sha256(path) == files.sha256_of(path)
    assert not files._hashed[str(path)][0]
