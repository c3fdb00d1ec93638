"""Any location, and the places of a published file in order."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from stub_server import Stub, cut, file, status

from modelzoo_runner.errors import FetchError, HashMismatch, RequestError
from modelzoo_runner.storage import fetch
from modelzoo_runner.storage.retrying import RetryPolicy
from modelzoo_runner.values import presets
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.preset import RemoteFile

CONTENT = os.urandom(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_a_path_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a b;'ü.pb"
    path.write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    for location in (path, str(path), path.name, f"file://{path}"):
        assert fetch.local(location) == path
    assert (
        fetch.local(path, sha256=SHA256, size=len(CONTENT), context=Context(offline=True)) == path
    )
    assert fetch.local(tmp_path) == tmp_path


def test_a_device_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", "/dev/null", str(tmp_path / "pipe")):
        with pytest.raises(FetchError, match=f"{path}: a device or a pipe, and no file"):
            fetch.local(path)
        with pytest.raises(FetchError, match="a device or a pipe"):
            fetch.first_of([RemoteFile(url=path, sha256=SHA256)])


def test_a_home_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m.pb").write_bytes(CONTENT)
    assert fetch.local("~/m.pb") == tmp_path / "m.pb"


def test_a_path_that_is_not_there_names_the_near_ones(tmp_path: Path) -> None:
    (tmp_path / "resnet50.pb").write_bytes(CONTENT)
    with pytest.raises(FetchError) as error:
        fetch.local(tmp_path / "resnet5O.pb")
    assert str(error.value) == (
        f"{tmp_path}/resnet5O.pb: no such file or folder. Did you mean 'resnet50.pb'?"
    )
    with pytest.raises(FetchError) as error:
        fetch.local(tmp_path / "no" / "x.pb")
    assert str(error.value) == f"{tmp_path}/no/x.pb: no such file or folder."


def test_a_path_with_the_wrong_content(tmp_path: Path) -> None:
    path = tmp_path / "m.pb"
    path.write_bytes(CONTENT)
    with pytest.raises(HashMismatch, match="it is 100,000 bytes and should be 7"):
        fetch.local(path, size=7)
    with pytest.raises(HashMismatch, match=f"its sha256 is {SHA256} and should be 00000"):
        fetch.local(path, sha256="0" * 64)
    with pytest.raises(FetchError, match="a folder, and sha256 and size are of a file"):
        fetch.local(tmp_path, sha256="0" * 64)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("", "'': not a location; a location is a path, an https:// URL, gs://bucket/name, or "),
        ("a\0b", r"'a\x00b': not a location; "),
        ("x9://bucket/x", "'x9://bucket/x': x9:// is not spoken here; a location is a path, "),
        ("ftp://host/x", "'ftp://host/x': ftp:// is not spoken here; "),
        ("gs:/b/x", "'gs:/b/x': one slash is missing, as after pathlib.Path, which is for paths of "
         "this machine; write 'gs://b/x'."),
        ("https:/host/x", "write 'https://host/x'."),
        ("https:///x", "'https:///x': the URL has no host."),
        ("https://host:port/x", "'https://host:port/x': not a URL: "),
        ("https://me:secret@host/x", "https://...@host/x: a URL with a user name in it is not"),
    ],
)  # fmt: skip
def test_what_can_not_be_a_location(location: str, words: str) -> None:
    with pytest.raises(RequestError) as error:
        fetch.local(location)
    assert words in str(error.value)
    assert "secret" not in str(error.value)


def test_a_url_that_became_a_path(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="write 'gs://bucket/x'"):
        fetch.local(Path("gs://bucket/x"))


def places(web: Stub, *answers: object) -> list[RemoteFile]:
    return [RemoteFile(url=web.at(f"/{n}/m.pb", answer)) for n, answer in enumerate(answers)]


def test_the_first_place_that_works_is_taken(web: Stub, fast_retry: RetryPolicy) -> None:
    files = places(
        web,
        status(403),
        status(500),
        status(200, b"<html>gone", Content_Type="text/html"),
        cut(CONTENT, 1000),
        file(CONTENT),
        file(b"not asked"),
    )
    assert fetch.first_of(files, retry=fast_retry).read_bytes() == CONTENT
    assert [web.count(f"/{n}/m.pb") for n in range(6)] == [1, 3, 1, 3, 1, 0]


def test_a_later_place_in_the_cache_is_taken_before_an_earlier_is_asked(
    web: Stub, fast_retry: RetryPolicy
) -> None:
    files = places(web, status(403), file(CONTENT))
    path = fetch.first_of(files, retry=fast_retry)
    assert fetch.first_of(files, retry=fast_retry) == path
    assert fetch.first_of(files, context=Context(offline=True)) == path
    assert [web.count(f"/{n}/m.pb") for n in range(2)] == [1, 1]


def test_when_no_place_works_each_is_listed(web: Stub, fast_retry: RetryPolicy) -> None:
    files = places(web, status(403), status(404))
    files.append(RemoteFile(url=web.at("/2/m.pb", file(CONTENT)), sha256="0" * 64))
    with pytest.raises(FetchError) as error:
        fetch.first_of(files, retry=fast_retry)
    head, first, second, third, advice = str(error.value).splitlines()
    assert type(error.value) is FetchError
    assert head == "none of the 3 places has the file:"
    assert first.startswith(f"  GET {files[0].url}: 403 Forbidden.")
    assert second.startswith(f"  GET {files[1].url}: 404 Not Found.")
    assert third.startswith(f"  {files[2].url}: not the file it should be. Expected: sha256 000")
    assert advice == (
        'Give the path of the file if you have it, or weights="random" to measure speed with the '
        "same topology."
    )


def test_when_all_places_hold_the_wrong_file_the_error_says_so(web: Stub) -> None:
    url = web.at("/m.pb", file(CONTENT))
    with pytest.raises(HashMismatch, match=r"(?s)^no file:.*not the file it should be"):
        fetch.first_of([RemoteFile(url=url, sha256="0" * 64)])


def test_offline_each_place_is_listed(web: Stub) -> None:
    files = places(web, file(CONTENT), file(CONTENT))
    with pytest.raises(FetchError) as error:
        fetch.first_of(files, context=Context(offline=True))
    assert str(error.value).count("not in the cache") == 2
    assert web.seen == []


def test_no_place_at_all() -> None:
    with pytest.raises(FetchError, match=r"^This graph is published nowhere\. Give the path of"):
        fetch.first_of([])


def test_every_preset_names_places_that_can_be_asked() -> None:
    """What `first_of` will be called with: nothing there may be refused before it is asked."""
    from modelzoo_runner.storage import locations

    for each in presets.every():
        for graph in each.graph.values():
            for remote in graph.files:
                place = locations.parse(remote.url)
                assert isinstance(place, locations.WebFile)
                assert place.encrypted or remote.sha256, f"{each.name}: {remote.url}"
                assert remote.member or place.name.endswith(".pb"), f"{each.name}: {remote.url}"
