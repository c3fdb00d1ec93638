"""Archives: the one member that is wanted, and all that must not be in one."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stub_server import Stub, file

from modelzoo_runner.errors import FetchError, HashMismatch, UnsafeArchive
from modelzoo_runner.storage import archive, fetch, partials
from modelzoo_runner.storage.archive import Limits
from modelzoo_runner.values.context import Context

GRAPH = os.urandom(200_000)


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **facts: object):
    """A member of an archive and its content."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.type = kind
    for key, value in facts.items():
        setattr(info, key, value)
    return info, content


GOOD = (
    member("ssd/", kind=tarfile.DIRTYPE, mode=0o2755),
    member("ssd/pipeline.config", b"model {}"),
    member("ssd/model.ckpt.index", b"x" * 3000),
    member("ssd/frozen_inference_graph.pb", GRAPH),
    member("ssd/saved_model/", kind=tarfile.DIRTYPE),
    member("ssd/saved_model/saved_model.pb", b"saved"),
    member("ssd/saved_model/variables/", kind=tarfile.DIRTYPE),
)


def packed(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def extracted(
    folder: Path, content: bytes, pattern: str = "*/frozen_inference_graph.pb", **limits: int
) -> bytes:
    """What comes out of an archive; nothing else may appear in its folder."""
    path = folder / "archive.tar.gz"
    path.write_bytes(content)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    target = folder / "graph.pb"
    try:
        with partials.create(
            out, location="x", largest=10**9, report=lambda done, total: None
        ) as part:
            archive.extract(path, pattern, part, Limits(**limits))
            part.publish(target)
        return target.read_bytes()
    finally:
        assert {each.name for each in folder.rglob("*")} <= {"archive.tar.gz", "out", "graph.pb"}
        target.unlink(missing_ok=True)


def refusal(folder: Path, content: bytes, **limits: int) -> str:
    with pytest.raises(UnsafeArchive) as error:
        extracted(folder, content, **limits)
    return str(error.value)


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_the_wanted_member_comes_out_alone(tmp_path: Path, mode: str, form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as tar:
        for info, content in GOOD:
            tar.addfile(info, io.BytesIO(content))
    assert extracted(tmp_path, out.getvalue()) == GRAPH


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("frozen_inference_graph.pb", "*/frozen_inference_graph.pb"),
        ("./frozen_inference_graph.pb", "*/frozen_inference_graph.pb"),
        ("a/b/c/frozen_inference_graph.pb", "*/frozen_inference_graph.pb"),
        ("rfcn_resnet101_coco_2018_01_28/frozen_inference_graph.pb", "frozen_inference_graph.pb"),
        ("./mobilenet_v1_1.0_224_frozen.pb", "*_frozen.pb"),
        ("x" * 150 + "/" + "y" * 150 + "/graph.pb", "graph.pb"),
        ("ünïcode/graph.pb", "*/graph.pb"),
    ],
)
def test_wherever_it_lies(tmp_path: Path, name: str, pattern: str) -> None:
    top = member("./", kind=tarfile.DIRTYPE)
    content = packed(top, member("other.pb", b"other"), member(name, GRAPH), member("z", b"z"))
    assert extracted(tmp_path, content, pattern) == GRAPH


def test_what_tar_itself_makes(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "graph.pb").write_bytes(GRAPH)
    made = subprocess.run(
        ["tar", "-C", tmp_path / "in", "-cz", "."], capture_output=True, check=True
    ).stdout
    folder = tmp_path / "work"
    folder.mkdir()
    assert extracted(folder, made, "*/graph.pb") == GRAPH


def test_no_member_fits(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as error:
        extracted(tmp_path, packed(*GOOD), "*.tflite")
    assert str(error.value) == (
        f"{tmp_path}/archive.tar.gz: no member fits '*.tflite'; the files in it: "
        "ssd/pipeline.config, ssd/model.ckpt.index, ssd/frozen_inference_graph.pb, "
        "ssd/saved_model/saved_model.pb."
    )


def test_several_members_fit(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as error:
        extracted(tmp_path, packed(*GOOD), "*.pb")
    assert str(error.value) == (
        f"{tmp_path}/archive.tar.gz: 2 members fit '*.pb': ssd/frozen_inference_graph.pb, "
        "ssd/saved_model/saved_model.pb. Give a pattern that fits one."
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (member("../evil", b"x"), "it has a '..' in it"),
        (member("ssd/../../evil", b"x"), "it has a '..' in it"),
        (member("./../evil", b"x"), "it has a '..' in it"),
        (member("/etc/passwd", b"x"), "it is an absolute path"),
        (member("ssd//x", b"x"), "it has an empty part or a '.' in it"),
        (member("ssd/a\nb", b"x"), "it has a control character or a backslash in it"),
        (member("ssd/link", kind=tarfile.SYMTYPE, linkname="/etc/passwd"), "it is a symbolic link"),
        (member("ssd/link", kind=tarfile.LNKTYPE, linkname="../../x"), "it is a hard link"),
        (member("ssd/null", kind=tarfile.CHRTYPE), "it is a device"),
        (member("ssd/disk", kind=tarfile.BLKTYPE), "it is a device"),
        (member("ssd/pipe", kind=tarfile.FIFOTYPE), "it is a named pipe"),
        (member("ssd/odd", kind=b"Z"), "it is neither a file nor a folder"),
        (member("ssd/run", b"x", mode=0o4755), "it is a file that would run as its owner"),
        (member("ssd/frozen_inference_graph.pb", b"evil"), "it is there twice"),
        (member("./ssd/frozen_inference_graph.pb", b"evil"), "it is there twice"),
    ],
)
def test_a_member_that_must_not_be_there_is_refused_by_name(
    tmp_path: Path, bad: tuple[tarfile.TarInfo, bytes], reason: str
) -> None:
    # Last, when the wanted one is already read: still nothing comes out.
    assert refusal(tmp_path, packed(*GOOD, bad)) == (
        f"{tmp_path}/archive.tar.gz: the member {bad[0].name!r} is refused: {reason}. Nothing was "
        "taken out."
    )


def test_too_many_members(tmp_path: Path) -> None:
    content = packed(*GOOD, *(member(f"d{number}", kind=tarfile.DIRTYPE) for number in range(100)))
    assert refusal(tmp_path, content, members=50) == (
        f"{tmp_path}/archive.tar.gz: the member 'd43' is refused: it comes after 50 others, as "
        "many as are read. Nothing was taken out."
    )


def test_a_member_that_is_too_large(tmp_path: Path) -> None:
    content = packed(member("zeros", bytes(10_000_000)), *GOOD)
    assert len(content) < 250_000
    assert "the member 'zeros' is refused: it says it is 10,000,000 bytes; at most 5,000,000" in (
        refusal(tmp_path, content, bytes=5_000_000)
    )


def test_many_members_that_are_too_much_together(tmp_path: Path) -> None:
    content = packed(*(member(f"zeros{number}", bytes(1_000_000)) for number in range(10)))
    assert "the member 'zeros4' is refused: it says it is 1,000,000 bytes; at most 5,000,000" in (
        refusal(tmp_path, content, bytes=5_000_000)
    )


def test_a_bomb_after_the_end_of_the_archive(tmp_path: Path) -> None:
    plain = packed(*GOOD, mode="w") + bytes(10_000_000)
    assert refusal(tmp_path, gzip.compress(plain), bytes=5_000_000) == (
        f"{tmp_path}/archive.tar.gz: refused: it holds more than 5,000,000 bytes after "
        "decompression. Nothing was taken out."
    )


def test_a_header_that_is_a_bomb(tmp_path: Path) -> None:
    """A pax header may be of any size, and is read as a whole."""
    header = tarfile.TarInfo("pax")
    header.type = tarfile.XHDTYPE
    header.size = 50_000_000
    content = gzip.compress(header.tobuf() + bytes(50_000_000))
    assert refusal(tmp_path, content) == (
        f"{tmp_path}/archive.tar.gz: refused: it holds a header of 50,000,384 bytes. Nothing was "
        "taken out."
    )


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_size_that_leads_backwards(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type = kind
    info.size = -512
    with pytest.raises(FetchError, match=r"refused: it|not a tar archive"):
        extracted(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    import subprocess

    hole = tmp_path / "hole"
    with hole.open("wb") as out:
        out.truncate(1 << 40)
    made = subprocess.run(
        ["tar", "-C", tmp_path, "-czS", "hole"], capture_output=True, check=True
    ).stdout
    folder = tmp_path / "work"
    folder.mkdir()
    assert "the member 'hole' is refused: it is a sparse file." in refusal(folder, made)


def broken_ones() -> dict[str, bytes]:
    whole = packed(*GOOD)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    return {
        "cut": whole[: len(whole) // 2],
        "without its checksum": whole[:-8],
        "damaged": bytes(flipped),
        "empty": b"",
        "a page": b"<html><body>Not found</body></html>",
        "a zip": b"PK\x03\x04" + bytes(1000),
        "gzip of something else": gzip.compress(b"hello"),
        "a plain one cut in a member": packed(*GOOD, mode="w")[:100_000],
    }


@pytest.mark.parametrize("content", list(broken_ones().values()), ids=list(broken_ones()))
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FetchError) as error:
        extracted(tmp_path, content)
    assert str(error.value).startswith(
        f"{tmp_path}/archive.tar.gz: not a tar archive, or one that is cut short or damaged ("
    )
    assert str(error.value).endswith(
        f"it is {len(content):,} bytes and begins with {content[:16]!r}."
    )


SMALL = packed(
    member("a/", kind=tarfile.DIRTYPE),
    member("a/frozen_inference_graph.pb", b"graph"),
    member("x" * 120, b"a long name"),
    mode="w",
)


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(SMALL) - 1), st.binary(min_size=1, max_size=8)), max_size=4
    ),
    length=st.integers(0, len(SMALL)),
)
def test_a_damaged_archive_gives_the_graph_or_a_sentence(
    tmp_path: Path, changes: list[tuple[int, bytes]], length: int
) -> None:
    content = bytearray(SMALL)
    for at, new in changes:
        content[at : at + len(new)] = new
    try:
        extracted(tmp_path, bytes(content[:length]))
    except FetchError as error:
        assert str(error).startswith(f"{tmp_path}/archive.tar.gz: ")


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    number=st.sampled_from([0, 1, 3, 4, 5]),
    field=st.sampled_from([(124, 12), (156, 1), (148, 8), (345, 155), (0, 100)]),
    new=st.binary(max_size=12) | st.just(b"\xff" * 12) | st.just(b"\x80" + bytes(11)),
)
def test_a_damaged_header_with_a_right_checksum(
    tmp_path: Path, number: int, field: tuple[int, int], new: bytes
) -> None:
    content = bytearray(SMALL)
    start, (offset, length) = number * 512, field
    content[start + offset : start + offset + len(new[:length])] = new[:length]
    header = bytes(content[start : start + 148]) + b" " * 8 + bytes(content[start + 156 :][:356])
    content[start + 148 : start + 156] = f"{sum(header):06o}\0 ".encode()
    try:
        extracted(tmp_path, bytes(content))
    except FetchError as error:
        assert str(error).startswith(f"{tmp_path}/archive.tar.gz: ")


# Through `fetch`.


def test_a_member_is_fetched_once(web: Stub, cache_folder: Path) -> None:
    url = web.at("/ssd.tar.gz", file(packed(*GOOD)))
    pattern = "*/frozen_inference_graph.pb"
    path = fetch.local(url, member=pattern)
    assert path.name == "frozen_inference_graph.pb" and path.read_bytes() == GRAPH
    assert fetch.local(url, member=pattern, context=Context(offline=True)) == path
    # Another member comes out of the archive that is there.
    other = fetch.local(url, member="*/saved_model.pb", context=Context(offline=True))
    assert other.read_bytes() == b"saved"
    assert web.count("/ssd.tar.gz") == 1
    # One that was changed is taken out again.
    path.write_bytes(b"evil")
    assert fetch.local(url, member=pattern, context=Context(offline=True)).read_bytes() == GRAPH


def test_the_published_hash_is_of_the_archive(web: Stub) -> None:
    import hashlib

    content = packed(*GOOD)
    sha256 = hashlib.sha256(content).hexdigest()
    url = web.at("/ssd.tar.gz", file(content))
    pattern = "*/frozen_inference_graph.pb"
    assert fetch.local(url, member=pattern, sha256=sha256).read_bytes() == GRAPH
    with pytest.raises(HashMismatch, match="as published for this location"):
        fetch.local(url, member=pattern, sha256="0" * 64)


def test_an_unsafe_archive_leaves_nothing_but_itself(web: Stub, cache_folder: Path) -> None:
    bad = member("../evil", b"x")
    url = web.at("/ssd.tar.gz", file(packed(*GOOD, bad)))
    with pytest.raises(UnsafeArchive):
        fetch.local(url, member="*/frozen_inference_graph.pb")
    names = {path.name for path in (cache_folder / "files").rglob("*") if path.is_file()}
    assert names == {"ssd.tar.gz", "record.json"}


def test_an_archive_of_ones_own_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ssd.tgz"
    path.write_bytes(packed(*GOOD))
    assert fetch.local(path, member="frozen_*.pb").read_bytes() == GRAPH
    path.write_bytes(packed(member("frozen_graph.pb", b"new")))
    found = fetch.local(path, member="frozen_*.pb")
    assert found.read_bytes() == b"new" and found.name == "frozen__.pb"


def test_an_archive_in_a_bucket(gcs, web: Stub) -> None:
    gcs.put("archives", "ssd.tar.gz", packed(*GOOD))
    assert fetch.local("gs://archives/ssd.tar.gz", member="*/pipeline.config").read_bytes() == (
        b"model {}"
    )
