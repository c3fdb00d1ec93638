"""TFRecord framing, against TensorFlow's own reader and writer."""

from __future__ import annotations

import gzip
import resource
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelzoo_runner.data.records import (
    count,
    index,
    offset_of,
    read_records,
    scan,
    writing,
)
from modelzoo_runner.errors import DataError

RECORDS = [b"first", b"", b"third" * 1000, b"\x00" * 17]
OFFSETS = [0, 16 + 5, 32 + 5, 48 + 5 + 5000]

some_records = st.lists(st.binary(max_size=300), min_size=1, max_size=8)
in_one_folder = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "some.tfrecord", RECORDS)


def written(path: Path, records: list[bytes]) -> Path:
    with writing(path) as writer:
        for record in records:
            writer.write(record)
    assert writer.records == len(records)
    return path


def damaged(path: Path, at: int, value: int = 0xFF) -> Path:
    data = bytearray(path.read_bytes())
    data[at] ^= value
    path.write_bytes(data)
    return path


@given(records=some_records)
@in_one_folder
def test_what_is_written_is_read(tmp_path: Path, records: list[bytes]) -> None:
    path = written(tmp_path / "r", records)
    assert list(read_records(path)) == records
    assert scan(path) == len(records)
    assert [entry.length for entry in index(path)] == [len(each) for each in records]


@given(records=some_records)
@in_one_folder
def test_tensorflow_reads_what_is_written(tmp_path: Path, records: list[bytes]) -> None:
    import tensorflow as tf

    path = written(tmp_path / "r", records)
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == records


@given(records=some_records)
@in_one_folder
def test_the_bytes_are_those_tensorflow_writes(tmp_path: Path, records: list[bytes]) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    ours = written(tmp_path / "ours", records)
    assert ours.read_bytes() == (tmp_path / "theirs").read_bytes()


@given(records=some_records, data=st.data())
@in_one_folder
def test_any_flipped_bit_and_any_cut_is_noticed(
    tmp_path: Path, records: list[bytes], data: st.DataObject
) -> None:
    path = written(tmp_path / "r", records)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    frames = index(path)
    damaged(path, at, 1 << data.draw(st.integers(0, 7)))
    guilty = max(number for number, entry in enumerate(frames) if entry.offset <= at)
    with pytest.raises(DataError, match=f"record {guilty} at byte {frames[guilty].offset}:"):
        scan(path)
    path.write_bytes(whole[:at])
    if at in [entry.offset for entry in frames][1:]:
        assert scan(path) < len(records)  # nothing in the format tells
    else:
        with pytest.raises(DataError):
            scan(path)


def test_the_index_says_where_each_frame_begins(path: Path) -> None:
    assert [tuple(entry) for entry in index(path)] == list(
        zip(OFFSETS, map(len, RECORDS), strict=True)
    )


@pytest.mark.parametrize("first", range(5))
def test_the_first_records_can_be_passed_over(path: Path, first: int) -> None:
    assert list(read_records(path, first=first)) == list(read_records(path))[first:]
    only = range(first, 9, 2)
    assert list(read_records(path, only=only)) == list(read_records(path))[first:9:2]


def test_the_byte_that_a_record_begins_at(path: Path) -> None:
    entries = index(path)
    assert [offset_of(path, number) for number in range(len(entries))] == [
        entry.offset for entry in entries
    ]
    assert offset_of(path, len(entries)) == path.stat().st_size


def test_the_count_follows_the_file(path: Path) -> None:
    assert count(path) == len(RECORDS)
    written(path, RECORDS[:1])
    assert count(path) == 1
    path.unlink()
    with pytest.raises(DataError, match="can't be read: No such file"):
        count(path)


def test_reading_is_lazy(path: Path) -> None:
    damaged(path, OFFSETS[2] + 12)
    records = read_records(path)
    assert [next(records), next(records)] == RECORDS[:2]


def test_a_wrong_data_checksum(path: Path) -> None:
    damaged(path, OFFSETS[2] + 12 + 777)
    with pytest.raises(DataError) as caught:
        scan(path)
    assert str(caught.value) == (
        f"{path}: record 2 at byte 37: the record's checksum is wrong. The file is damaged: get or "
        "convert it again."
    )


def test_a_wrong_length_checksum(path: Path) -> None:
    damaged(path, OFFSETS[1] + 3)
    for read in (scan, index):
        with pytest.raises(DataError, match="record 1 at byte 21: the length's checksum is wrong"):
            read(path)


@pytest.mark.parametrize("kept", [1, 11, 12, 15, 16, 4000])
def test_a_truncated_tail(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[: OFFSETS[2] + kept])
    needed = "at least 16" if kept < 16 else "5016"
    for read in (scan, index):
        with pytest.raises(
            DataError,
            match=f"record 2 at byte 37: the file ends in it: {needed} bytes needed, {kept} there",
        ):
            read(path)


def test_a_huge_length_is_not_believed(path: Path) -> None:
    import struct

    from modelzoo_runner.data.records import _masked_crc

    length = struct.pack("<Q", 1 << 62)
    path.write_bytes(length + struct.pack("<I", _masked_crc(length)) + b"tail")
    with pytest.raises(DataError, match="4611686018427387920 bytes needed, 16 there"):
        scan(path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(DataError, match=r"empty: the file is empty \(0 bytes\)"):
        scan(tmp_path / "empty")


def test_a_file_of_zeros_and_a_hole(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: OFFSETS[1]] + bytes(100))
    with pytest.raises(DataError, match="record 1 at byte 21: zeros where its length should be"):
        scan(path)
    path.write_bytes(bytes(100))
    with pytest.raises(DataError, match="may not be a TFRecord file at all"):
        scan(path)


def test_compression_is_named(path: Path) -> None:
    whole = path.read_bytes()
    for name, compress in (("gzip", gzip.compress), ("zlib", zlib.compress)):
        path.write_bytes(compress(whole))
        with pytest.raises(DataError, match=f"is {name}-compressed. Records are read uncompressed"):
            scan(path)


def test_a_record_of_120_bytes_is_not_taken_for_zlib(tmp_path: Path) -> None:
    # 0x78, the first byte of a zlib stream, is also a length.
    assert scan(written(tmp_path / "r", [b"x" * 120])) == 1


def test_text_is_not_a_record_file(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!DOCTYPE html><html>Not found</html>")
    with pytest.raises(DataError, match="may not be a TFRecord file at all"):
        scan(tmp_path / "page.html")


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: can't be read: No such file"):
        scan(tmp_path / "absent")
    with pytest.raises(DataError, match="can't be read: Is a directory"):
        index(tmp_path)


def test_nothing_is_left_of_a_file_without_records(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no record was written, so the file is not made"):
        written(tmp_path / "none", [])
    assert names(tmp_path) == []


def test_nothing_is_left_after_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "half") as writer:
        writer.write(b"one")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(DataError, match=r"big: can't be written: File too large"):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
            written(tmp_path / "big", [b"x" * 2000])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == []


@pytest.mark.parametrize("failure", [ValueError, FileNotFoundError])
def test_after_a_failure_the_old_file_is_as_it_was(
    tmp_path: Path, failure: type[Exception]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(failure), writing(path) as writer:
        writer.write(b"half")
        raise failure
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent/r: can't be written: No such file"):
        written(tmp_path / "absent" / "r", [b"x"])
