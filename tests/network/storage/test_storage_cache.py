"""What is trusted, what is fetched again, and what a disk that says no leaves behind."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock
import pytest
from stub_server import Answer, Handler, Stub, file

from modelzoo_runner.errors import FetchError, HashMismatch, RequestError
from modelzoo_runner.storage import cache, fetch, folders, pinned_hashes, settings
from modelzoo_runner.storage.listing import Listing, StoredObject
from modelzoo_runner.storage.locations import BucketPlace
from modelzoo_runner.values.context import Context

CONTENT = os.urandom(100_000)
OTHER = os.urandom(100_000)


def fetched(web: Stub, content: bytes = CONTENT) -> tuple[str, Path]:
    url = web.at("/m.pb", file(content))
    return url, fetch.local(url)


def change(path: Path, content: bytes, *, keep_time: bool = False) -> None:
    before = path.stat()
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], OTHER])
def test_a_file_that_was_changed_is_fetched_again(
    web: Stub, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    url, path = fetched(web)
    change(path, content)
    assert fetch.local(url).read_bytes() == CONTENT
    assert web.count("/m.pb") == 2
    assert f"{url}: the cached file {path} is not used: it" in caplog.text


def test_offline_a_file_that_was_changed_is_an_error(web: Stub) -> None:
    url, path = fetched(web)
    change(path, OTHER)
    with pytest.raises(FetchError, match="not in the cache"):
        fetch.local(url, context=Context(offline=True))


def test_a_file_that_was_only_touched_is_read_once(
    web: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, path = fetched(web)
    os.utime(path)
    assert fetch.local(url, context=Context(offline=True)) == path
    # Now its new time is recorded, and it need not be read again.
    monkeypatch.delattr(cache, "sha256_of")
    assert fetch.local(url, context=Context(offline=True)) == path


def test_without_its_record_a_file_is_not_trusted(web: Stub) -> None:
    url, path = fetched(web)
    record = path.parents[1] / "record.json"
    for broken in ("", "{", "[]", "null", '{"path": 1}', record.read_text().replace(url, "else")):
        record.write_text(broken)
        assert fetch.local(url) == path
    assert web.count("/m.pb") == 7


def test_another_published_hash_is_another_file(web: Stub) -> None:
    url, _ = fetched(web)
    with pytest.raises(HashMismatch):
        fetch.local(url, sha256="0" * 64)
    # The one that was there before is still there.
    assert fetch.local(url, context=Context(offline=True)).read_bytes() == CONTENT


def test_two_locations_never_share_a_file(web: Stub) -> None:
    one = fetch.local(web.at("/a/m.pb", file(CONTENT)))
    other = fetch.local(web.at("/b/m.pb", file(OTHER)))
    query = fetch.local(web.at("/a/m.pb", file(b"third")) + "?version=2")
    assert len({one, other, query}) == 3
    assert {path.name for path in (one, other, query)} == {"m.pb"}
    assert (one.read_bytes(), other.read_bytes()) == (CONTENT, OTHER)


def test_what_came_first_is_held_against_what_comes_later(web: Stub, cache_folder: Path) -> None:
    url, path = fetched(web)
    path.unlink()
    web.at("/m.pb", file(OTHER))
    with pytest.raises(HashMismatch) as error:
        fetch.local(url)
    hashes = cache_folder / "hashes.json"
    first = json.loads(hashes.read_text())[url]
    assert first["size"] == len(CONTENT)
    assert str(error.value).startswith(
        f"{url}: not the file it should be. Expected: 100,000 bytes, sha256 {first['sha256']}, as "
        f"it was the first time (kept in {hashes}; `modelzoo-runner cache clear --hashes` takes a "
        "change that is meant). Found: 100,000 bytes, sha256 "
    )
    pinned_hashes.unpin(cache_folder, url)
    assert fetch.local(url).read_bytes() == OTHER


def test_a_published_hash_is_not_remembered(web: Stub, cache_folder: Path) -> None:
    url = web.at("/m.pb", file(CONTENT))
    fetch.local(url, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert not (cache_folder / "hashes.json").exists()


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"URL": 1}',
        '{"URL": {"sha256": "x"}}',
        '{"URL": {"sha256": "nonsense", "size": 3}}',
        f'{{"URL": {{"sha256": "{"0" * 64}", "size": -3}}}}',
    ],
    ids=range(8),
)
def test_hashes_that_can_not_be_read_are_never_skipped(
    web: Stub, cache_folder: Path, broken: str
) -> None:
    url = web.at("/m.pb", file(CONTENT))
    cache_folder.mkdir()
    (cache_folder / "hashes.json").write_text(broken.replace("URL", url))
    with pytest.raises(FetchError) as error:
        fetch.local(url)
    assert str(error.value).startswith(
        f"{cache_folder / 'hashes.json'}: the hashes of what was fetched before can't be read: "
    )
    assert str(error.value).endswith("or remove it to take the next files as they come.")


def test_hashes_that_somebody_else_changes_for_ever(
    web: Stub, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned_hashes, "_LOCKED_AT_MOST", 0.2)
    cache_folder.mkdir()
    with (
        filelock.FileLock(cache_folder / "hashes.lock"),
        pytest.raises(FetchError, match=r"hashes\.json: another process has held its lock for 0.2"),
    ):
        fetched(web)
    assert fetched(web)[1].read_bytes() == CONTENT


def test_offline_says_what_is_missing(
    web: Stub, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = web.at("/m.pb", file(CONTENT))
    monkeypatch.setenv("MODELZOO_RUNNER_OFFLINE", "1")
    with pytest.raises(FetchError) as error:
        fetch.local(url)
    assert str(error.value) == (
        f"{url}: not in the cache {cache_folder}, and offline nothing is fetched. Fetch it once "
        "without offline=True and MODELZOO_RUNNER_OFFLINE, or give the path of a file."
    )
    assert web.seen == []
    assert not cache_folder.exists()


def test_a_switch_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, offline in {"": False, "0": False, "No": False, "1": True, "true": True}.items():
        monkeypatch.setenv("MODELZOO_RUNNER_OFFLINE", value)
        assert settings.resolve_settings().offline is offline
    monkeypatch.setenv("MODELZOO_RUNNER_OFFLINE", "perhaps")
    with pytest.raises(RequestError, match=r"^MODELZOO_RUNNER_OFFLINE='perhaps': should be 1 or 0"):
        settings.resolve_settings()


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.cache_folder("~/x") == Path.home() / "x"
    assert settings.cache_folder(tmp_path) == tmp_path
    with pytest.raises(RequestError, match=r"^'~nobody-here/x': no home folder to put the cache"):
        settings.cache_folder("~nobody-here/x")
    monkeypatch.setenv("MODELZOO_RUNNER_CACHE", "relative")
    assert settings.cache_folder() == Path.cwd() / "relative"
    monkeypatch.setenv("MODELZOO_RUNNER_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert settings.cache_folder() == tmp_path / "xdg" / "modelzoo_runner"


def test_names_of_all_kinds(web: Stub) -> None:
    for path, name in {
        "/a%20b'%22;$(x).pb": "a b'\";$(x).pb",
        "/%C3%BC.pb": "ü.pb",
        "/": "download",
        "/..": "download",
        "/" + "x" * 300: "download",
        "/dir/": "dir",
    }.items():
        found = fetch.local(web.at(path, file(CONTENT)))
        assert found.name == name and found.read_bytes() == CONTENT


# Disks that say no. Permission bits don't bind root, so: a folder that can't be made because a file
# is in its way, and real mounts in a mount namespace of a child's own, where that is allowed.


def test_a_cache_that_can_not_be_made(web: Stub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    url = web.at("/m.pb", file(CONTENT))
    with pytest.raises(FetchError) as error:
        fetch.local(url, cache=tmp_path / "file" / "cache")
    assert str(error.value) == (
        f"{url}: the cache folder {tmp_path}/file/cache can't be written: Not a directory. Set "
        "MODELZOO_RUNNER_CACHE to a folder you may write to."
    )
    assert web.seen == []


CHILD = """
import json, os, sys
from pathlib import Path
from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage import fetch
try:
    said = str(fetch.local(sys.argv[1]))
except FetchError as error:
    said = str(error)
cache = Path(os.environ["MODELZOO_RUNNER_CACHE"])
left = [path.name for path in cache.rglob("*") if path.is_file() and path.stat().st_size]
print(json.dumps([said, left]))
"""


def in_a_child(url: str, command: str, *wrapper: str) -> tuple[str, list[str]]:
    """What a child says of fetching `url` after a shell command, and the files in its cache."""
    script = f'{command} && exec "$0" -W error -c "$CHILD" "$1"'
    done = subprocess.run(
        [*wrapper, "sh", "-c", script, sys.executable, url],
        capture_output=True,
        text=True,
        env={**os.environ, "CHILD": CHILD},
        timeout=60,
    )
    if "mount: " in done.stderr or "unshare: " in done.stderr:
        pytest.skip(f"mounting isn't allowed here: {done.stderr.strip()}")
    assert done.stderr == ""
    said, left = json.loads(done.stdout)
    return said, left


def in_a_mount(url: str, command: str) -> tuple[str, list[str]]:
    """The same after a mount that only the child sees."""
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("mounting needs root and unshare")
    return in_a_child(url, command, "unshare", "-m")


def unannounced(content: bytes) -> Answer:
    """A file whose size nobody says."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("ETag", '"v1"')
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(content)

    return answer


LARGE = os.urandom(3 << 20)


def test_a_disk_without_room_is_said_before_it_is_full(web: Stub, cache_folder: Path) -> None:
    url = web.at("/m.pb", file(LARGE))
    cache_folder.mkdir()
    said, left = in_a_mount(url, f"mount -t tmpfs -o size=2m tmpfs {cache_folder}")
    assert re.fullmatch(
        rf"{url}: the disk is full at {cache_folder}: 3,145,728 bytes are needed, [\d,]+ are free"
        r"\. Make room \(`modelzoo-runner cache clear`\), or set MODELZOO_RUNNER_CACHE to a "
        r"folder on another disk\. Nothing was left\.",
        said,
    )
    assert left == []


def test_a_disk_that_gets_full_is_said_and_nothing_is_left(web: Stub, cache_folder: Path) -> None:
    url = web.at("/m.pb", unannounced(LARGE))
    cache_folder.mkdir()
    said, left = in_a_mount(url, f"mount -t tmpfs -o size=2m tmpfs {cache_folder}")
    assert said == (
        f"{url}: the disk is full at {cache_folder}. Make room (`modelzoo-runner cache clear`), or "
        "set MODELZOO_RUNNER_CACHE to a folder on another disk. Nothing was left."
    )
    assert left == []


def test_a_limit_on_the_size_of_files_is_said(web: Stub, cache_folder: Path) -> None:
    url = web.at("/m.pb", file(LARGE))
    said, left = in_a_child(url, "ulimit -f 2048")
    assert said.startswith(
        f"{url}: a file would be larger than this process or file system allows at {cache_folder}. "
    )
    assert left == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full at {}. Make room"),
        (errno.EDQUOT, "the disk quota is used up at {}. Make room"),
        (errno.EROFS, "the cache folder {} can't be written: Read-only file system. Set"),
        (errno.EIO, "the cache folder {} can't be written: Input/output error. Set"),
    ],
)
def test_a_disk_that_fails_when_all_has_come(
    web: Stub, cache_folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    """Some file systems say only at the end that there was no room."""

    def failing(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    url = web.at("/m.pb", file(CONTENT))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(FetchError) as error:
            fetch.local(url)
    assert str(error.value).startswith(f"{url}: {words.format(cache_folder)}")
    assert not [path for path in cache_folder.rglob("*") if path.is_file() and path.stat().st_size]
    assert fetch.local(url).read_bytes() == CONTENT


def test_a_read_only_cache_is_said(web: Stub, cache_folder: Path) -> None:
    url = web.at("/m.pb", file(CONTENT))
    cache_folder.mkdir()
    said, left = in_a_mount(url, f"mount -t tmpfs -o ro tmpfs {cache_folder}")
    assert said == (
        f"{url}: the cache folder {cache_folder} can't be written: Read-only file system. Set "
        "MODELZOO_RUNNER_CACHE to a folder you may write to."
    )
    assert left == []
    assert web.seen == []


def test_what_is_in_a_read_only_cache_is_used(web: Stub, cache_folder: Path) -> None:
    url, path = fetched(web)
    os.utime(path)
    read_only = f"mount --bind {cache_folder} {cache_folder} && mount -o remount,ro,bind {{}}"
    said, _ = in_a_mount(url, read_only.format(cache_folder))
    assert said == str(path)
    assert web.count("/m.pb") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="permission bits don't bind root")
def test_a_cache_without_permission_is_said(web: Stub, cache_folder: Path) -> None:
    url = web.at("/m.pb", file(CONTENT))
    cache_folder.mkdir(mode=0o500)
    with pytest.raises(FetchError, match="can't be written: Permission denied"):
        fetch.local(url)


def test_content_that_changed_with_its_time_put_back_is_noticed(web: Stub) -> None:
    url = web.at("/m.pb", file(CONTENT))
    path = fetch.local(url)
    status = path.stat()
    path.write_bytes(CONTENT[:-1] + b"?")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == len(CONTENT)
    assert fetch.local(url).read_bytes() == CONTENT
    assert web.count("/m.pb") == 2


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/etc/passwd"},
        {"path": "../../x"},
        {"path": 3},
        {"path": ["m.pb"]},
        {"path": {"m.pb": 1}},
        {"size": "12"},
        {"identity": ["1", 2, 3]},
        {"identity": 7},
        {"version": []},
        {"unknown": 1},
    ],
)
def test_a_record_is_checked_like_any_input(web: Stub, change: dict[str, object]) -> None:
    url = web.at("/m.pb", file(CONTENT))
    record = fetch.local(url).parents[1] / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    assert fetch.local(url).read_bytes() == CONTENT
    assert web.count("/m.pb") == 2


def test_a_deeply_nested_record_is_none(web: Stub) -> None:
    url = web.at("/m.pb", file(CONTENT))
    record = fetch.local(url).parents[1] / "record.json"
    record.write_text("[" * 100_000)
    assert fetch.local(url).read_bytes() == CONTENT


def test_a_record_that_fits_other_content_is_not_believed_against_the_pinned_hash(
    web: Stub,
) -> None:
    url = web.at("/m.pb", file(CONTENT))
    path = fetch.local(url)
    other = CONTENT[::-1]
    path.write_bytes(other)
    status = path.stat()
    record = path.parents[1] / "record.json"
    forged = {
        "sha256": hashlib.sha256(other).hexdigest(),
        "identity": [status.st_ino, status.st_mtime_ns, status.st_ctime_ns],
    }
    record.write_text(json.dumps(json.loads(record.read_text()) | forged))
    assert fetch.local(url).read_bytes() == CONTENT


def test_a_link_in_the_cache_is_neither_used_nor_followed(web: Stub, tmp_path: Path) -> None:
    url = web.at("/m.pb", file(CONTENT))
    path = fetch.local(url)
    elsewhere = tmp_path / "elsewhere"
    path.parent.rename(elsewhere)
    path.parent.symlink_to(elsewhere)
    (elsewhere / path.name).write_bytes(b"mine")
    assert fetch.local(url).read_bytes() == CONTENT
    assert (elsewhere / path.name).read_bytes() == b"mine"


def test_folders_are_for_this_user_alone(web: Stub, cache_folder: Path) -> None:
    fetched(web)
    folders = [cache_folder, *(path for path in cache_folder.rglob("*") if path.is_dir())]
    assert len(folders) == 5
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


@pytest.mark.parametrize("name", ["files", "folders", "listings", "random", "hashes.json"])
def test_a_cache_that_others_can_write_to_is_refused(
    web: Stub, cache_folder: Path, name: str
) -> None:
    url, _ = fetched(web)
    path = cache_folder / name
    if not path.exists():
        path.mkdir()
    path.chmod(0o770)
    with pytest.raises(RequestError, match=rf"{path} can be written to by other users.*go-w"):
        fetch.local(url)
    path.chmod(0o755)
    assert fetch.local(url).read_bytes() == CONTENT
    path.rename(cache_folder / "elsewhere")
    path.symlink_to(cache_folder / "elsewhere")
    with pytest.raises(RequestError, match=rf"{path} is a link"):
        fetch.local(url)


def test_a_link_in_place_of_the_folder_of_a_location(web: Stub, tmp_path: Path) -> None:
    url, path = fetched(web)
    elsewhere = tmp_path / "elsewhere"
    path.parents[1].rename(elsewhere)
    path.parents[1].symlink_to(elsewhere)
    (elsewhere / "content" / path.name).write_bytes(b"mine")
    assert fetch.local(url).read_bytes() == CONTENT
    assert (elsewhere / "content" / path.name).read_bytes() == b"mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_used(web: Stub) -> None:
    url, path = fetched(web)
    os.chown(path, 65534, 65534)
    assert fetch.local(url) == path
    assert path.stat().st_uid == 0 and web.count("/m.pb") == 2


AS_ANOTHER = """
import os, sys
import filelock, platformdirs.unix, requests  # which the other user may not be able to read
from modelzoo_runner.errors import RunnerError
from modelzoo_runner.storage import cache, fetch
read = []
hashed = cache.sha256_of
cache.sha256_of = lambda path: read.append(path) or hashed(path)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
if sys.argv[2] == "default":
    os.environ["XDG_CACHE_HOME"] = os.path.dirname(os.environ.pop("MODELZOO_RUNNER_CACHE"))
try:
    for _ in range(2):
        print(fetch.local(sys.argv[1], sha256=sys.argv[3] or None))
    print("read", len(read))
except RunnerError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("pinned", [False, True])
def test_another_users_cache_is_read_where_it_is_named(
    web: Stub, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Everybody may read it, as an administrator would leave it.
        shared = Path(folder) / "modelzoo_runner"
        monkeypatch.setenv("MODELZOO_RUNNER_CACHE", str(shared))
        url, path = fetched(web)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        sha256 = hashlib.sha256(CONTENT).hexdigest() if pinned else ""

        def another(how: str) -> str:
            command = [sys.executable, "-c", AS_ANOTHER, url, how, sha256]
            done = subprocess.run(command, capture_output=True, text=True, cwd="/")
            assert "Traceback" not in done.stderr
            return done.stdout

        assert another("named") == f"{path}\n{path}\nread 2\n"
        assert "belongs to another user (id 0)" in another("default")
        change(path, OTHER)
        assert another("named").startswith(f"FetchError {url}: the cache folder {shared} can't be")
        for each in (shared / "files", path.parents[1]):
            each.chmod(0o777)
        assert "can be written to by other users" in another("named")


@pytest.mark.parametrize(
    "change",
    [
        {"objects": [{"bucket": "b", "name": "../x", "generation": "1", "size": 1, "crc32c": ""}]},
        {"objects": [{"bucket": "b", "name": "f/x", "generation": "1", "size": "", "crc32c": ""}]},
        {"objects": [{"bucket": "b", "name": "x", "generation": "1", "size": 1, "crc32c": ""}]},
        {"objects": [{"bucket": "c", "name": "f/x", "generation": "1", "size": 1, "crc32c": ""}]},
        {"objects": [3]},
        {"objects": []},
        {"base": 3},
        {"location": "gs://b/other/"},
    ],
)
def test_a_noted_listing_is_checked_like_any_input(
    cache_folder: Path, change: dict[str, object]
) -> None:
    place = BucketPlace("b", "f/")
    one = StoredObject(bucket="b", name="f/x", generation="1", size=1, crc32c=None)
    noted = Listing(base="f/", objects=(one,))
    record = {"location": place.url, **dataclasses.asdict(noted)}
    path = folders._listing_path(cache_folder, place)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    assert folders._noted(cache_folder, place) == noted
    path.write_text(json.dumps(record | change))
    assert folders._noted(cache_folder, place) is None
    path.write_text("[" * 100_000)
    assert folders._noted(cache_folder, place) is None


def test_a_record_of_an_earlier_release_is_used_after_hashing_once(web: Stub) -> None:
    url = web.at("/m.pb", file(CONTENT))
    path = fetch.local(url)
    record = path.parents[1] / "record.json"
    old = json.loads(record.read_text())
    old["modified_ns"] = old.pop("identity")[1]
    record.write_text(json.dumps(old))
    assert fetch.local(url) == path
    assert web.count("/m.pb") == 1
    assert len(json.loads(record.read_text())["identity"]) == 3
