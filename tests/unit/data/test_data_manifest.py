"""Data by a list of its files: read like a folder, from the files that are there."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from modelzoo_runner.data import manifest, paths, records, shards
from modelzoo_runner.data.manifest import ListedFile, ListedPath
from modelzoo_runner.errors import DataError


def listed(folder: Path, counts: list[int], *, here: list[int]) -> ListedPath:
    """Shards with so many records each, of which those of these numbers are there."""
    files = {}
    for number, count in enumerate(counts):
        path = folder / "cache" / str(number) / "shard"
        path.parent.mkdir(parents=True)
        with records.writing(path) as writer:
            for record in range(count):
                writer.write(b"%d %d" % (number, record))
        name = f"data/validation-{number:05}-of-{len(counts):05}"
        files[name] = ListedFile(path=str(path), size=path.stat().st_size, records=count)
        if number not in here:
            path.unlink()
    return manifest.folder("data", files)


def test_what_is_not_there_is_known(tmp_path: Path) -> None:
    folder = listed(tmp_path, [3, 1, 2], here=[1])
    found = shards.in_order(paths.listing(folder))
    assert [path.name for path in found.files] == [f"validation-{n:05}-of-00003" for n in range(3)]
    assert [records.count(path) for path in found.files] == [3, 1, 2]
    assert all(path.stat().st_size > 12 for path in found.files)
    assert os.fspath(found.files[0]) == str(found.files[0]) == f"{tmp_path}/cache/0/shard"


def test_what_is_there_is_read_and_the_rest_is_an_error(tmp_path: Path) -> None:
    first, second, _ = sorted(listed(tmp_path, [3, 1, 2], here=[1]).iterdir())
    assert list(records.read_records(second)) == [b"1 0"] and second.read_bytes()
    with pytest.raises(DataError, match=r"cache/0/shard: can't be read: No such file"):
        list(records.read_records(first))


def test_written_and_read_again(tmp_path: Path) -> None:
    folder = listed(tmp_path, [2, 2], here=[0, 1])
    path = tmp_path / f"list{manifest.SUFFIX}"
    manifest.write(path, folder)
    again = manifest.read(path)
    assert again == folder and sorted(again.iterdir()) == sorted(folder.iterdir())
    with closing(records.read_records(max(again.iterdir()))) as found:
        assert list(found) == [b"1 0", b"1 1"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"folder": "", "files": {"a": 1}}', '{"folder": 1, "files": {}}']
)
def test_what_is_no_list(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.files.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"a\.files\.json: not a list of files"):
        manifest.read(path)
    with pytest.raises(DataError, match=r"b\.files\.json: can't be read: No such file"):
        manifest.read(tmp_path / "b.files.json")
