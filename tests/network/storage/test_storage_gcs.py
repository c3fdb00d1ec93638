"""gs:// against the real fake-gcs-server, and against a stub where that is too well-behaved."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from urllib.parse import quote

import google_crc32c
import pytest
import requests
import stub_server
from fake_gcs import FakeGcs
from stub_server import Handler, Stub

from modelzoo_runner.errors import FetchError, HashMismatch, RequestError
from modelzoo_runner.storage import fetch
from modelzoo_runner.storage.retrying import RetryPolicy
from modelzoo_runner.values.context import Context

CONTENT = os.urandom(3 << 20)
SHARDS = tuple(f"validation-{number:05}-of-00004" for number in range(4))


@pytest.fixture
def imagenet(gcs: FakeGcs, request: pytest.FixtureRequest) -> str:
    """A folder of four shards in a bucket of the test's own."""
    bucket = "images-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    for number, name in enumerate(SHARDS):
        gcs.put(bucket, f"nested/imagenet/{name}", bytes([number]) * 1000)
    gcs.put(bucket, "nested/imagenet/", b"")
    gcs.put(bucket, "nested/imagenet-other/validation-00000-of-00004", b"a sibling")
    return f"gs://{bucket}/nested/imagenet"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


SHARDS_AS_THEY_ARE = {name: bytes([number]) * 1000 for number, name in enumerate(SHARDS)}


@pytest.mark.parametrize("bucket", ["images", "gs"])
def test_an_object_of_a_bucket_of_any_name(gcs: FakeGcs, bucket: str) -> None:
    gcs.put(bucket, "models/resnet50.pb", CONTENT)
    seen: list[tuple[str, int, int | None]] = []
    path = fetch.local(
        f"gs://{bucket}/models/resnet50.pb",
        context=Context(progress=lambda *each: seen.append(each)),
    )
    assert path.name == "resnet50.pb" and path.read_bytes() == CONTENT
    assert seen[-1] == ("resnet50.pb", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_folder_comes_with_its_shards_and_no_siblings(imagenet: str, ending: str) -> None:
    seen: list[tuple[str, int, int | None]] = []
    folder = fetch.local(
        imagenet + ending, context=Context(progress=lambda *each: seen.append(each))
    )
    assert folder.name == "imagenet"
    assert tree(folder) == SHARDS_AS_THEY_ARE
    assert {each[0] for each in seen} == {imagenet + ending}
    assert seen[-1][1:] == (4000, 4000)


def test_a_second_call_asks_nobody(gcs: FakeGcs, imagenet: str) -> None:
    folder = fetch.local(imagenet)
    before = len(gcs.requests())
    assert fetch.local(imagenet) == folder
    assert fetch.local(f"{imagenet}/{SHARDS[0]}").read_bytes() == bytes(1000)
    assert fetch.local(imagenet, context=Context(offline=True)) == folder
    assert len(gcs.requests()) == before


def test_a_pattern_takes_what_fits_it(imagenet: str) -> None:
    folder = fetch.local(f"{imagenet}/validation-0000[13]-of-*")
    assert set(tree(folder)) == {SHARDS[1], SHARDS[3]}


def test_a_pattern_keeps_the_folders_below_its_own(imagenet: str) -> None:
    folder = fetch.local(imagenet.replace("nested/imagenet", "*/imagenet*/validation-00000-*"))
    assert set(tree(folder)) == {
        f"nested/imagenet/{SHARDS[0]}",
        f"nested/imagenet-other/{SHARDS[0]}",
    }


def test_two_objects_of_one_name_in_two_folders_both_come(gcs: FakeGcs) -> None:
    gcs.put("twins", "data/a/shard", b"of a")
    gcs.put("twins", "data/b/shard", b"of b")
    assert tree(fetch.local("gs://twins/data/")) == {"a/shard": b"of a", "b/shard": b"of b"}


def test_a_whole_bucket(gcs: FakeGcs) -> None:
    gcs.put("whole-bucket", "x", b"1")
    gcs.put("whole-bucket", "y/z", b"2")
    folder = fetch.local("gs://whole-bucket")
    assert folder.name == "whole-bucket"
    assert tree(folder) == {"x": b"1", "y/z": b"2"}


def test_only_as_many_shards_as_are_needed(gcs: FakeGcs, imagenet: str) -> None:
    asked: list[str] = []

    def enough(path: Path) -> bool:
        asked.append(path.name)
        return len(asked) == 2

    folder = fetch.local(imagenet, enough=enough)
    assert asked == list(SHARDS[:2])
    assert set(tree(folder)) == set(SHARDS[:2])
    bucket = imagenet.split("/")[2]
    assert len(gcs.requests(f"/download/storage/v1/b/{bucket}/o/")) == 2
    # A second call asks no more than the first did, and the whole folder only for the rest.
    asked.clear()
    assert fetch.local(imagenet, enough=enough, context=Context(offline=True)) == folder
    assert set(tree(fetch.local(imagenet))) == set(SHARDS)
    assert len(gcs.requests(f"/download/storage/v1/b/{bucket}/o/")) == 4
    assert set(tree(folder)) == set(SHARDS[:2])


def test_an_object_that_was_overwritten_is_not_mixed_with_the_old_ones(
    gcs: FakeGcs, imagenet: str
) -> None:
    bucket = imagenet.split("/")[2]
    fetch.local(imagenet, enough=lambda path: True)
    gcs.put(bucket, f"nested/imagenet/{SHARDS[0]}", b"new")
    with pytest.raises(HashMismatch, match="as it was the first time") as error:
        fetch.local(imagenet)
    assert f"{imagenet}/{SHARDS[0]}: not the file it should be." in str(error.value)
    assert "Found: 3 bytes" in str(error.value)


def test_a_size_and_a_hash_of_an_object(gcs: FakeGcs) -> None:
    gcs.put("sized", "m.pb", CONTENT)
    with pytest.raises(HashMismatch) as error:
        fetch.local("gs://sized/m.pb", size=5)
    assert str(error.value) == (
        "gs://sized/m.pb: the object is 3,145,728 bytes and should be 5; it is not the file this "
        "location is known for."
    )
    with pytest.raises(HashMismatch, match="as published for this location"):
        fetch.local("gs://sized/m.pb", sha256="0" * 64)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert fetch.local("gs://sized/m.pb", sha256=sha256).read_bytes() == CONTENT


def test_a_hash_is_of_one_file(imagenet: str) -> None:
    with pytest.raises(RequestError) as error:
        fetch.local(imagenet, sha256="0" * 64)
    assert str(error.value) == f"{imagenet}: sha256 and size are of one file, and this is a folder."


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("gs://", "'gs://': no bucket of that kind; write gs://bucket/object, "),
        ("gs:///x", "'gs:///x': no bucket of that kind;"),
        ("gs://b@d/x", "'gs://b@d/x': no bucket of that kind;"),
        ("gs://b//x", "'/x' can't be a name in a bucket here: it is an absolute path."),
        ("gs://b//", "'gs://b//': the name after the bucket is empty."),
        ("gs://b/a/../x", "'a/../x' can't be a name in a bucket here: it has a '..' in it."),
        ("gs://b/a//x", "'a//x' can't be a name in a bucket here: it has an empty part or"),
        ("gs://b/a\nx", "can't be a name in a bucket here: it has a control character"),
        ("gs://b/" + "x" * 256, "a part of it is longer than the 255 bytes a file name can have"),
    ],
)
def test_what_can_not_be_a_place_in_a_bucket(location: str, words: str) -> None:
    with pytest.raises(RequestError) as error:
        fetch.local(location)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("data/../../../etc/passwd", "it has a '..' in it"),
        ("data//double", "it has an empty part or a '.' in it"),
        ("data/a\\b", "it has a control character or a backslash in it"),
    ],
)
def test_an_object_whose_name_leads_elsewhere_is_refused(
    gcs: FakeGcs, cache_folder: Path, name: str, reason: str
) -> None:
    bucket = "unsafe-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    gcs.put(bucket, "data/fine", b"fine")
    gcs.put(bucket, name, b"not fine")
    with pytest.raises(FetchError) as error:
        fetch.local(f"gs://{bucket}/data/")
    assert f"gs://{bucket}/data/: the object {name!r} is refused: {reason}." in str(error.value)
    assert not list(cache_folder.glob("files/*"))


def test_an_object_and_a_folder_of_one_name_are_refused(gcs: FakeGcs) -> None:
    gcs.put("both-kinds", "data/x", b"an object")
    gcs.put("both-kinds", "data/x/y", b"below it")
    with pytest.raises(FetchError) as error:
        fetch.local("gs://both-kinds/data/")
    assert str(error.value) == (
        "gs://both-kinds/data/: 'data/x' is an object and also the folder of 'data/x/y'; on disk "
        "it can't be both."
    )


def test_a_name_that_is_not_there_names_the_near_ones(gcs: FakeGcs, imagenet: str) -> None:
    with pytest.raises(FetchError) as error:
        fetch.local(imagenet.replace("nested/imagenet", "nested/imagenets"))
    assert "nothing is there (asked as anonymous). Did you mean 'imagenet'" in str(error.value)
    with pytest.raises(FetchError) as error:
        fetch.local(imagenet + "/train-*")
    assert "nothing is there (asked as anonymous)." in str(error.value)


def test_a_bucket_that_is_not_there(gcs: FakeGcs) -> None:
    with pytest.raises(FetchError) as error:
        fetch.local("gs://no-such-bucket/x/")
    assert str(error.value) == (
        "gs://no-such-bucket/x/: 404: Not Found. No bucket or object of that name that anonymous "
        "may see, or it was overwritten while it was fetched."
    )


def test_offline_says_what_is_missing(gcs: FakeGcs, imagenet: str, cache_folder: Path) -> None:
    before = len(gcs.requests())
    with pytest.raises(FetchError) as error:
        fetch.local(imagenet, context=Context(offline=True))
    assert str(error.value) == (
        f"{imagenet}: it is not in the cache {cache_folder}, and offline nothing is fetched. Fetch "
        "it once without offline=True and MODELZOO_RUNNER_OFFLINE, or give the path of a folder."
    )
    assert len(gcs.requests()) == before
    fetch.local(imagenet, enough=lambda path: path.name == SHARDS[2])
    with pytest.raises(FetchError, match=r"1 of its 4 objects are not in the cache \(nested"):
        fetch.local(imagenet, context=Context(offline=True))


def test_public_urls_of_google_go_to_the_stand_in(gcs: FakeGcs) -> None:
    gcs.put("intel-optimized-tensorflow", "models/v1_8/r.pb", CONTENT)
    url = "https://storage.googleapis.com/intel-optimized-tensorflow/models/v1_8/r.pb"
    assert fetch.local(url).read_bytes() == CONTENT
    assert len(gcs.requests("GET /intel-optimized-tensorflow/models/v1_8/r.pb 200")) == 1


def test_an_endpoint_can_be_an_argument(gcs_server: FakeGcs) -> None:
    gcs_server.put("by-argument", "m.pb", CONTENT)
    address = gcs_server.url.removeprefix("http://")
    path = fetch.local("gs://by-argument/m.pb", endpoint=address)
    assert path.read_bytes() == CONTENT


def test_what_ends_one_object_ends_the_others(gcs: FakeGcs, cache_folder: Path) -> None:
    for number in range(12):
        gcs.put("interrupted", f"data/{number:02}", os.urandom(2 << 20))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.local("gs://interrupted/data/", context=Context(progress=interrupt))
    assert len(gcs.requests("/download/storage/v1/b/interrupted/")) < 12
    folder = fetch.local("gs://interrupted/data/")
    assert len(tree(folder)) == 12
    assert not list(cache_folder.rglob("*.part"))


# From here on a stub of the few calls of Google's API that are made, for what the fake can't do.


class StubBucket:
    """One object of one bucket. `media` is how its bytes are answered."""

    def __init__(self, stub: Stub, monkeypatch: pytest.MonkeyPatch, name: str = "m.pb") -> None:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stub.url)
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        self.stub = stub
        self.url = f"gs://bucket/{name}"
        self.about = f"/storage/v1/b/bucket/o/{quote(name, safe='')}"
        self.media = f"/download{self.about}"
        self.facts = {
            "name": name,
            "bucket": "bucket",
            "generation": "7",
            "size": str(len(CONTENT)),
            "crc32c": base64.b64encode(google_crc32c.value(CONTENT).to_bytes(4, "big")).decode(),
        }
        stub.at(self.about, self.answer)

    def answer(self, handler: Handler) -> None:
        handler.send(200, json.dumps(self.facts).encode(), Content_Type="application/json")


@pytest.fixture
def bucket(web: Stub, monkeypatch: pytest.MonkeyPatch) -> StubBucket:
    return StubBucket(web, monkeypatch)


def message(url: str, fast_retry: RetryPolicy) -> str:
    with pytest.raises(FetchError) as error:
        fetch.local(url, retry=fast_retry)
    return str(error.value)


def test_an_object_is_asked_for_by_generation(bucket: StubBucket, fast_retry: RetryPolicy) -> None:
    bucket.stub.at(bucket.media, stub_server.file(CONTENT))
    assert fetch.local(bucket.url, retry=fast_retry).read_bytes() == CONTENT
    assert "generation=7" in bucket.stub.seen[-1][1]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_passing_trouble_is_waited_out(
    bucket: StubBucket, fast_retry: RetryPolicy, code: int
) -> None:
    trouble = stub_server.status(code, b"try later", Retry_After="0")
    bucket.stub.at(bucket.about, trouble, bucket.answer)
    bucket.stub.at(bucket.media, trouble, stub_server.file(CONTENT))
    assert fetch.local(bucket.url, retry=fast_retry).read_bytes() == CONTENT


def test_a_lasting_trouble_ends(bucket: StubBucket, fast_retry: RetryPolicy) -> None:
    bucket.stub.at(bucket.about, stub_server.status(500, b"on fire"))
    assert message(bucket.url, fast_retry) == f"{bucket.url}: 500: on fire, after 3 tries."


def test_a_request_that_is_not_understood(bucket: StubBucket, fast_retry: RetryPolicy) -> None:
    bucket.stub.at(bucket.about, stub_server.status(400, b"Invalid argument."))
    assert message(bucket.url, fast_retry) == f"{bucket.url}: 400: Invalid argument (anonymous)."


def test_a_cut_body_goes_on_where_it_ended(bucket: StubBucket, fast_retry: RetryPolicy) -> None:
    bucket.stub.at(bucket.media, stub_server.cut(CONTENT, 2 << 20), stub_server.file(CONTENT))
    assert fetch.local(bucket.url, retry=fast_retry).read_bytes() == CONTENT
    ranges = [headers.get("Range") for _, path, headers in bucket.stub.seen if "download" in path]
    assert ranges[0] is None
    assert int(ranges[1].removeprefix("bytes=").removesuffix("-")) > 1 << 20


def test_a_damaged_body_comes_again(
    bucket: StubBucket, fast_retry: RetryPolicy, cache_folder: Path
) -> None:
    damaged = stub_server.file(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    bucket.stub.at(bucket.media, damaged, stub_server.file(CONTENT))
    assert fetch.local(bucket.url, retry=fast_retry).read_bytes() == CONTENT


def test_a_body_that_stays_damaged_is_given_up(
    bucket: StubBucket, fast_retry: RetryPolicy, cache_folder: Path
) -> None:
    bucket.stub.at(bucket.media, stub_server.file(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])))
    assert message(bucket.url, fast_retry) == (
        f"{bucket.url}: what came does not fit the object's crc32c, after 3 tries."
    )
    assert not list(cache_folder.rglob("m.pb"))


def test_more_bytes_than_the_object_has(bucket: StubBucket, fast_retry: RetryPolicy) -> None:
    bucket.stub.at(bucket.media, stub_server.status(200, CONTENT * 2))
    assert "the file is 6,291,456 bytes and should be 3,145,728; it is not" in (
        message(bucket.url, fast_retry)
    )


def test_an_object_that_is_overwritten_while_it_comes(
    bucket: StubBucket, fast_retry: RetryPolicy
) -> None:
    bucket.stub.at(bucket.media, stub_server.cut(CONTENT, 2 << 20), stub_server.status(404))
    words = message(bucket.url, fast_retry)
    assert words.startswith(f"{bucket.url}: 404: ")
    assert words.endswith("may see, or it was overwritten while it was fetched.")


def test_an_object_that_is_stored_compressed_is_refused(
    bucket: StubBucket, fast_retry: RetryPolicy
) -> None:
    bucket.facts["contentEncoding"] = "gzip"
    assert message(bucket.url, fast_retry) == (
        f"{bucket.url}: it is stored with Content-Encoding: gzip, so what arrives isn't what was "
        "put there; store it without."
    )


def test_a_composite_object_has_no_md5(gcs: FakeGcs) -> None:
    for number in range(2):
        gcs.put("composed", f"part{number}", CONTENT[number::2])
    requests.post(
        f"{gcs.url}/storage/v1/b/composed/o/whole/compose",
        json={"sourceObjects": [{"name": "part0"}, {"name": "part1"}]},
        timeout=10,
    ).raise_for_status()
    assert fetch.local("gs://composed/whole").read_bytes() == CONTENT[::2] + CONTENT[1::2]


@pytest.mark.parametrize("known", ["crc32c", None])
def test_an_object_of_which_google_says_less(
    bucket: StubBucket, fast_retry: RetryPolicy, known: str | None
) -> None:
    """Composite objects have no md5Hash; old ones may have no checksum at all."""
    assert "md5Hash" not in bucket.facts
    if known is None:
        del bucket.facts["crc32c"]
    bucket.facts["componentCount"] = "2"
    bucket.stub.at(bucket.media, stub_server.file(CONTENT))
    assert fetch.local(bucket.url, retry=fast_retry).read_bytes() == CONTENT


def test_a_bucket_whose_requester_pays(bucket: StubBucket, fast_retry: RetryPolicy) -> None:
    said = b'{"error": {"message": "Bucket is a requester pays bucket but no user project."}}'
    bucket.stub.at(bucket.about, stub_server.status(400, said, Content_Type="application/json"))
    assert message(bucket.url, fast_retry) == (
        f"{bucket.url}: 400: Bucket is a requester pays bucket but no user project (anonymous)."
    )


@pytest.mark.parametrize("what", ["about", "media"])
def test_a_redirect_to_another_host_is_not_followed(
    bucket: StubBucket, fast_retry: RetryPolicy, what: str
) -> None:
    bucket.stub.at(bucket.media, stub_server.file(CONTENT))
    other = bucket.stub.url.replace("127.0.0.1", "localhost") + "/other"
    bucket.stub.at(getattr(bucket, what), stub_server.status(302, Location=other))
    words = message(bucket.url, fast_retry)
    assert other in words and "not followed" in words
    assert bucket.stub.count("/other") == 0


def test_an_answer_of_something_else_than_google(
    bucket: StubBucket, fast_retry: RetryPolicy
) -> None:
    page = stub_server.status(200, b"<html>Please log in", Content_Type="text/html")
    bucket.stub.at(bucket.about, page)
    assert message(bucket.url, fast_retry) == (
        f"{bucket.url}: the response is not one of Google Cloud Storage; it begins with "
        "'<html>Please log in'. Often that is a log-in or a proxy's page."
    )
    assert bucket.stub.count(bucket.about) == 1


@pytest.mark.parametrize("endpoint", ["::bad::", "http://", "https://host:port", "ftp://host"])
def test_what_can_not_stand_in(endpoint: str) -> None:
    with pytest.raises(RequestError) as error:
        fetch.local("gs://bucket/x", endpoint=endpoint)
    assert str(error.value) == (
        f"{endpoint!r} (endpoint, or STORAGE_EMULATOR_HOST): should be a server that stands in for "
        "Google Cloud Storage, as http://localhost:4443."
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        # Google's library keeps the words of a 401 to itself.
        (401, "it needs credentials"),
        (403, "Anonymous caller does not have storage.objects.get access"),
    ],
)
def test_without_credentials_a_refusal_names_anonymous(
    bucket: StubBucket, fast_retry: RetryPolicy, code: int, words: str
) -> None:
    said = b'{"error": {"message": "Anonymous caller does not have storage.objects.get access."}}'
    refusal = stub_server.status(code, said, Content_Type="application/json")
    bucket.stub.at(bucket.about, refusal)
    assert message(bucket.url, fast_retry) == (
        f"{bucket.url}: {code}: anonymous may not read it ({words}), and the environment has no "
        "credentials. Run `gcloud auth application-default login`, or set "
        "GOOGLE_APPLICATION_CREDENTIALS to a key file of an account that may."
    )


@pytest.mark.parametrize(
    ("key", "words"), [(None, "File {} was not found."), ("{}", "The file {} does not have a val")]
)
def test_a_key_file_that_is_none_is_named(
    bucket: StubBucket,
    fast_retry: RetryPolicy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    words: str,
) -> None:
    path = tmp_path / "key.json"
    if key is not None:
        path.write_text(key)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    bucket.stub.at(bucket.about, stub_server.status(403, b"not you"))
    assert message(bucket.url, fast_retry).startswith(
        f"{bucket.url}: 403: anonymous may not read it (not you), and "
        f"GOOGLE_APPLICATION_CREDENTIALS names none: {words.format(path)}"
    )


@pytest.fixture
def account(bucket: StubBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A service account in the environment, whose tokens the stub hands out."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    email = "runner@project.iam.gserviceaccount.com"
    (tmp_path / "key.json").write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "project",
                "private_key_id": "1",
                "private_key": key.decode(),
                "client_email": email,
                "token_uri": f"{bucket.stub.url}/token",
            }
        )
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    token = json.dumps({"access_token": "secret", "expires_in": 3600, "token_type": "Bearer"})
    bucket.stub.at(
        "/token", stub_server.status(200, token.encode(), Content_Type="application/json")
    )
    return email


def only_with_token(answer: stub_server.Answer) -> stub_server.Answer:
    def checked(handler: Handler) -> None:
        if handler.headers.get("Authorization") == "Bearer secret":
            answer(handler)
        else:
            handler.send(401, b"Anonymous caller")

    return checked


def test_credentials_are_used_after_anonymous_was_refused(
    bucket: StubBucket, account: str, fast_retry: RetryPolicy
) -> None:
    bucket.stub.at(bucket.about, only_with_token(bucket.answer))
    bucket.stub.at(bucket.media, only_with_token(stub_server.file(CONTENT)))
    assert fetch.local(bucket.url, retry=fast_retry).read_bytes() == CONTENT
    assert [path.partition("?")[0] for _, path, _ in bucket.stub.seen] == [
        bucket.about,
        "/token",
        bucket.about,
        bucket.media,
    ]


def test_a_refused_account_is_named(
    bucket: StubBucket, account: str, fast_retry: RetryPolicy
) -> None:
    said = b'{"error": {"message": "It has no storage.objects.get access to the object."}}'
    refusal = stub_server.status(403, said, Content_Type="application/json")
    bucket.stub.at(bucket.about, refusal)
    assert message(bucket.url, fast_retry) == (
        f"{bucket.url}: 403: {account} may not read it, nor may anonymous: It has no "
        "storage.objects.get access to the object. It needs storage.objects.get, and "
        "storage.objects.list for a folder or a pattern."
    )


def test_credentials_that_are_no_longer_taken(
    bucket: StubBucket, account: str, fast_retry: RetryPolicy
) -> None:
    bucket.stub.at(bucket.about, stub_server.status(401))
    bucket.stub.at("/token", stub_server.status(400, b'{"error": "invalid_grant"}'))
    assert f"{bucket.url}: the credentials of {account} were refused: " in message(
        bucket.url, fast_retry
    )


def test_no_server_there(fast_retry: RetryPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    with stub_server.running() as stub:
        url = stub.url
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    assert message("gs://bucket/m.pb", fast_retry) == (
        "gs://bucket/m.pb: Failed to establish a new connection: [Errno 111] Connection refused, "
        "after 3 tries."
    )
