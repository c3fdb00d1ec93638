"""What servers do on a bad day, and what is said and left then."""

from __future__ import annotations

import base64
import datetime
import email.utils
import gzip
import hashlib
import os
import ssl
import time
from pathlib import Path

import google_crc32c
import pytest
import stub_server
from stub_server import Handler, Stub, cut, file, status

from modelzoo_runner.errors import FetchError, HashMismatch
from modelzoo_runner.storage import fetch
from modelzoo_runner.storage.retrying import RetryPolicy
from modelzoo_runner.values.context import Context

CONTENT = os.urandom(3 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LENGTH = ("Content-Length", str(len(CONTENT)))


def left(cache: Path) -> list[str]:
    """What is in the cache besides locks."""
    return sorted(
        path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def message(url: str, fast_retry: RetryPolicy, **known: object) -> str:
    with pytest.raises(FetchError) as error:
        fetch.local(url, retry=fast_retry, **known)  # type: ignore[arg-type]
    return str(error.value)


def test_a_file_comes_whole_and_is_asked_for_once(web: Stub) -> None:
    url = web.at("/models/m.pb", file(CONTENT))
    seen: list[tuple[str, int, int | None]] = []
    path = fetch.local(url, context=Context(progress=lambda *each: seen.append(each)))
    assert path.name == "m.pb"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("m.pb", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert fetch.local(url) == path
    assert web.count("/models/m.pb") == 1


def test_an_empty_file_is_a_file(web: Stub) -> None:
    assert fetch.local(web.at("/empty", file(b""))).read_bytes() == b""


def test_a_published_hash_and_size_are_held(web: Stub) -> None:
    url = web.at("/m.pb", file(CONTENT))
    assert fetch.local(url, sha256=SHA256.upper(), size=len(CONTENT)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, "401 Unauthorized: Anonymous caller does not have storage.objects.get access. It "),
        (403, "403 Forbidden: Anonymous caller does not have storage.objects.get access. Whoever"),
        (404, "404 Not Found: Anonymous caller does not have storage.objects.get access. There is"),
        (410, "410 Gone: Anonymous caller does not have storage.objects.get access. It is gone"),
        (418, "418 I'm a Teapot: Anonymous caller does not have storage.objects.get access."),
    ],
)
def test_a_refusal_is_said_in_words_at_once(
    web: Stub, fast_retry: RetryPolicy, cache_folder: Path, code: int, words: str
) -> None:
    body = (
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access denied.</Message>"
        b"<Details>Anonymous caller does not have storage.objects.get access.</Details></Error>"
    )
    url = web.at("/m.pb", status(code, body, Content_Type="application/xml"))
    assert message(url, fast_retry).startswith(f"GET {url}: {words}")
    assert web.count("/m.pb") == 1
    assert left(cache_folder) == []


def test_a_reason_phrase_is_shown_and_not_obeyed(web: Stub, fast_retry: RetryPolicy) -> None:
    def refuse(handler: Handler) -> None:
        handler.send_response(404, "No\x1b[2J\x9b31m")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    said = message(web.at("/m.pb", refuse), fast_retry)
    assert r"404 No\x1b[2J\x9b31m" in said


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_passing_trouble_is_waited_out(web: Stub, fast_retry: RetryPolicy, code: int) -> None:
    url = web.at("/m.pb", status(code), status(code), file(CONTENT))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT
    assert web.count("/m.pb") == 3


def test_a_lasting_trouble_ends_with_the_number_of_tries(
    web: Stub, fast_retry: RetryPolicy, cache_folder: Path
) -> None:
    url = web.at("/m.pb", status(500, b"database on fire"))
    assert message(url, fast_retry) == (
        f"GET {url}: 500 Internal Server Error: database on fire, after 3 tries."
    )
    assert left(cache_folder) == []


def test_retry_after_in_seconds_is_obeyed(web: Stub, fast_retry: RetryPolicy) -> None:
    url = web.at("/m.pb", status(429, Retry_After="1"), file(CONTENT))
    start = time.monotonic()
    fetch.local(url, retry=fast_retry)
    assert time.monotonic() - start >= 1


def test_retry_after_as_a_date_is_obeyed(web: Stub, fast_retry: RetryPolicy) -> None:
    now = datetime.datetime.now(datetime.UTC)
    date = email.utils.format_datetime(now + datetime.timedelta(hours=1), usegmt=True)
    url = web.at("/m.pb", status(503, Retry_After=date))
    words = message(url, fast_retry)
    assert "503 Service Unavailable; the server asks to wait 3" in words
    assert words.endswith("s, longer than the 2 s that are waited here.")
    assert web.count("/m.pb") == 1


def test_a_retry_after_nobody_can_read_is_none(web: Stub, fast_retry: RetryPolicy) -> None:
    url = web.at("/m.pb", status(429, Retry_After="soon"), file(CONTENT))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT


def test_a_cut_body_goes_on_where_it_ended(web: Stub, fast_retry: RetryPolicy) -> None:
    url = web.at("/m.pb", cut(CONTENT, 2 << 20), file(CONTENT))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT
    assert [headers.get("Range") for _, _, headers in web.seen] == [None, f"bytes={2 << 20}-"]


def test_without_a_version_a_cut_body_begins_again(web: Stub, fast_retry: RetryPolicy) -> None:
    url = web.at("/m.pb", cut(CONTENT, 2 << 20, etag=None), file(CONTENT, etag=None))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT
    assert [headers.get("Range") for _, _, headers in web.seen] == [None, None]


def test_a_weak_etag_is_no_version(web: Stub, fast_retry: RetryPolicy) -> None:
    url = web.at("/m.pb", cut(CONTENT, 2 << 20, etag='W/"v1"'), file(CONTENT, etag='W/"v1"'))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT
    assert web.seen[-1][2].get("Range") is None


def test_a_file_that_changes_between_parts_begins_again(web: Stub, fast_retry: RetryPolicy) -> None:
    changed = os.urandom(len(CONTENT))
    new = file(changed, etag='"v2"')
    url = web.at("/m.pb", cut(CONTENT, 2 << 20), new)
    assert fetch.local(url, retry=fast_retry).read_bytes() == changed
    assert [headers.get("Range") for _, _, headers in web.seen] == [
        None,
        f"bytes={2 << 20}-",
        None,
    ]


def test_a_file_that_got_shorter_begins_again(web: Stub, fast_retry: RetryPolicy) -> None:
    short = os.urandom(1000)
    url = web.at("/m.pb", cut(CONTENT, 2 << 20), file(short, etag='"v2"'))
    assert fetch.local(url, retry=fast_retry).read_bytes() == short


def test_a_server_that_ignores_the_range_is_understood(web: Stub, fast_retry: RetryPolicy) -> None:
    url = web.at("/m.pb", cut(CONTENT, 2 << 20), status(200, CONTENT, ETag='"v1"'))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT


def test_an_answer_of_no_length_that_ends_early_is_noticed(
    web: Stub, fast_retry: RetryPolicy
) -> None:
    def early(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(CONTENT[:1000])

    url = web.at("/m.pb", early, file(CONTENT))
    assert fetch.local(url, size=len(CONTENT), retry=fast_retry).read_bytes() == CONTENT


def test_a_body_that_is_always_cut_ends(
    web: Stub, fast_retry: RetryPolicy, cache_folder: Path
) -> None:
    url = web.at("/m.pb", cut(CONTENT, 1000, etag=None))
    words = message(url, fast_retry)
    assert words.startswith(f"GET {url}: ")
    for phrase in ("broke off", "1000 bytes read, 3144728 more expected", "after 3 tries"):
        assert phrase in words
    assert left(cache_folder) == []


def test_what_came_before_the_end_is_used_the_next_time(
    web: Stub, fast_retry: RetryPolicy, cache_folder: Path
) -> None:
    url = web.at("/m.pb", cut(CONTENT, 2 << 20), status(500))
    message(url, fast_retry)
    assert any(name.endswith(".part") for name in left(cache_folder))
    web.at("/m.pb", file(CONTENT))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT
    assert web.seen[-1][2]["Range"] == f"bytes={2 << 20}-"
    assert not any(name.endswith(".part") for name in left(cache_folder))


def test_a_body_without_end_is_given_up(
    web: Stub, fast_retry: RetryPolicy, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        while True:
            handler.wfile.write(bytes(1 << 20))

    url = web.at("/m.pb", endless)
    words = message(url, fast_retry, size=5 << 20)
    assert words == f"{url}: more came than the 5,242,880 bytes the file may have."
    assert left(cache_folder) == []


def test_a_file_larger_than_any_may_be_is_not_begun(web: Stub, fast_retry: RetryPolicy) -> None:
    def huge(handler: Handler) -> None:
        handler.send(200, bytes(2 << 20), length=1 << 50)

    url = web.at("/m.pb", huge)
    assert "the file is 1,125,899,906,842,624 bytes, more than the " in message(url, fast_retry)


def test_the_wrong_size_is_seen_before_the_bytes_come(
    web: Stub, fast_retry: RetryPolicy, cache_folder: Path
) -> None:
    url = web.at("/m.pb", file(CONTENT))
    with pytest.raises(HashMismatch) as error:
        fetch.local(url, size=245_000_000, retry=fast_retry)
    assert str(error.value) == (
        f"GET {url}: the file is 3,145,728 bytes and should be 245,000,000; it is not the file "
        "this location is known for."
    )
    assert left(cache_folder) == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=utf-8", b"<!DOCTYPE html><html><body>Please log in"),
        ("application/octet-stream", b"\n <!doctype HTML>\n<html>moved"),
        ("application/xml", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
        ("binary/octet-stream", b"<?xml version='1.0'?><Error/>"),
        ("application/gzip", b"<html><head><title>Proxy</title>"),
    ],
)
def test_a_page_is_not_taken_for_the_file(
    web: Stub, fast_retry: RetryPolicy, cache_folder: Path, kind: str, body: bytes
) -> None:
    url = web.at("/m.tar.gz", status(200, body, Content_Type=kind))
    words = message(url, fast_retry, size=245_000_000)
    assert words.startswith(f"GET {url}: the server sent a page ({kind.partition(';')[0]}")
    assert repr(body[:60])[:-1] in words
    assert web.count("/m.tar.gz") == 1
    assert left(cache_folder) == []


def test_bytes_that_do_not_fit_the_servers_checksum_come_again(
    web: Stub, fast_retry: RetryPolicy
) -> None:
    checksum = base64.b64encode(google_crc32c.value(CONTENT).to_bytes(4, "big")).decode()
    broken = bytearray(CONTENT)
    broken[1_000_000] ^= 1
    headers = {"X_Goog_Hash": f"crc32c={checksum},md5=AAAAAAAAAAAAAAAAAAAAAA=="}
    url = web.at("/m.pb", file(bytes(broken), **headers), file(CONTENT, **headers))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT
    web.at("/m.pb", file(bytes(broken), **headers))
    fetch_again = url + "?again"
    assert message(fetch_again, fast_retry) == (
        f"GET {fetch_again}: what came does not fit the checksum the server sent with it, after 3 "
        "tries."
    )


def test_bytes_that_do_not_fit_the_published_hash_are_removed(
    web: Stub, fast_retry: RetryPolicy, cache_folder: Path
) -> None:
    url = web.at("/m.pb", file(b"something else"))
    with pytest.raises(HashMismatch) as error:
        fetch.local(url, sha256=SHA256, retry=fast_retry)
    found = hashlib.sha256(b"something else").hexdigest()
    assert str(error.value) == (
        f"{url}: not the file it should be. Expected: sha256 {SHA256}, as published for this "
        f"location. Found: 14 bytes, sha256 {found}. What came was removed; what was in the cache "
        "before is still there."
    )
    assert left(cache_folder) == []


def test_a_server_that_stops_in_the_middle_is_left(web: Stub, fast_retry: RetryPolicy) -> None:
    def stop(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.send_header("ETag", '"v1"')
        handler.end_headers()
        handler.wfile.write(CONTENT[: 1 << 20])
        time.sleep(1.5)

    url = web.at("/m.pb", stop, file(CONTENT))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT
    assert web.seen[-1][2]["Range"] == f"bytes={1 << 20}-"


@pytest.mark.parametrize("chunked", [True, False])
def test_a_server_that_only_trickles_is_left(
    web: Stub, fast_retry: RetryPolicy, chunked: bool
) -> None:
    def trickle(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header(*(("Transfer-Encoding", "chunked") if chunked else LENGTH))
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"1\r\nx\r\n" if chunked else b"x")
            time.sleep(0.1)

    url = web.at("/m.pb", trickle)
    words = message(url, fast_retry)
    assert ": only " in words and words.endswith("s, after 3 tries.")


@pytest.mark.parametrize(
    "sent",
    [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
)
def test_headers_have_to_come_at_a_useful_rate_too(
    web: Stub, fast_retry: RetryPolicy, sent: bytes
) -> None:
    def drip(handler: Handler) -> None:
        handler.wfile.write(sent)
        for _ in range(100):
            handler.wfile.write(b"1")
            time.sleep(0.1)

    url = web.at("/m.pb", drip)
    words = message(url, fast_retry)
    assert "only " in words and words.endswith("s, after 3 tries.")
    assert web.count("/m.pb") == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content_Range", f"bytes {'9' * 5000}-1/2"),
        ("Retry_After", "9" * 5000),
        ("Retry_After", "Fri, 31 Dec 99999999999 23:59:59 GMT"),
        ("X_Goog_Hash", "crc32c=======,"),
        ("ETag", "\x1b[2J" * 1000),
    ],
)
def test_headers_that_say_nothing_that_can_be(
    web: Stub, fast_retry: RetryPolicy, name: str, value: str
) -> None:
    url = web.at("/m.pb", status(503, **{name: value}), status(200, CONTENT, **{name: value}))
    assert fetch.local(url, retry=fast_retry).read_bytes() == CONTENT


def test_a_length_that_can_not_be_is_ignored(web: Stub, fast_retry: RetryPolicy) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "9" * 5000)
        handler.end_headers()
        handler.wfile.write(CONTENT)
        handler.close_connection = True

    assert fetch.local(web.at("/m.pb", answer), retry=fast_retry).read_bytes() == CONTENT


def test_what_is_sent_is_what_is_kept(web: Stub) -> None:
    """Some servers call an archive's own compression one that is for the way."""
    archive = gzip.compress(b"a tar archive")
    url = web.at("/m.tar.gz", file(archive, Content_Encoding="gzip"))
    assert fetch.local(url).read_bytes() == archive
    assert web.seen[-1][2]["Accept-Encoding"] == "identity"


def test_redirects_on_the_same_host_are_followed(web: Stub) -> None:
    web.at("/new", file(CONTENT))
    url = web.at("/old.pb", status(302, Location="/new"))
    path = fetch.local(url)
    assert path.name == "old.pb" and path.read_bytes() == CONTENT


def test_a_redirect_to_another_host_is_not_followed(web: Stub, fast_retry: RetryPolicy) -> None:
    other = web.url.replace("127.0.0.1", "localhost") + "/new"
    url = web.at("/m.pb", status(301, Location=other))
    assert f"redirects to another host or port, {other}; not followed" in message(url, fast_retry)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("http://127.0.0.1:1/new", "another host or port"),
        ("http://127.0.0.1/new", "another host or port"),
        ("https://127.0.0.1:1/new", "another host or port"),
        ("//user:secret@{host}/new", "with a password"),
        ("//user@{host}/new", "with a password"),
        ("http://[/new", "no address"),
        ("http://127.0.0.1:99999/new", "no address"),
    ],
)
def test_a_redirect_that_could_give_something_away_is_not_followed(
    web: Stub, fast_retry: RetryPolicy, target: str, said: str
) -> None:
    web.at("/new", file(CONTENT))
    target = target.format(host=web.url.removeprefix("http://"))
    words = message(web.at("/m.pb", status(302, Location=target)), fast_retry)
    assert said in words and web.count("/new") == 0


def test_a_circle_of_redirects_ends(web: Stub, fast_retry: RetryPolicy) -> None:
    url = web.at("/a", status(302, Location="/b"))
    web.at("/b", status(302, Location="/a"))
    assert "the server redirects in a circle, at last to " in message(url, fast_retry)


def test_a_redirect_to_nowhere_is_said(web: Stub, fast_retry: RetryPolicy) -> None:
    url = web.at("/a", status(302))
    assert "redirects to nowhere" in message(url, fast_retry)


def test_no_server_there(fast_retry: RetryPolicy) -> None:
    with stub_server.running() as stub:
        url = stub.url + "/m.pb"
    assert message(url, fast_retry) == (
        f"GET {url}: Failed to establish a new connection: [Errno 111] Connection refused, after 3 "
        "tries."
    )


def test_a_host_without_an_address(fast_retry: RetryPolicy) -> None:
    words = message("https://models.invalid/m.pb", fast_retry)
    assert words.startswith("GET https://models.invalid/m.pb: ")
    assert "Errno" in words and "object at 0x" not in words


def test_a_url_that_can_not_be_asked(fast_retry: RetryPolicy) -> None:
    url = "https://.example.org/m.pb"
    assert message(url, fast_retry).startswith(f"GET {url}: ")


def test_a_refusal_whose_words_break_off(web: Stub, fast_retry: RetryPolicy) -> None:
    url = web.at("/m.pb", lambda handler: handler.send(403, b"", length=1000))
    assert message(url, fast_retry).startswith(f"GET {url}: 403 Forbidden. Whoever asks")


def test_without_encryption_a_hash_is_needed(fast_retry: RetryPolicy) -> None:
    url = "http://download.example.org/m.pb"
    assert message(url, fast_retry) == (
        f"{url}: without encryption anybody on the way can change the file, and no sha256 is known "
        "to notice. Give an https:// URL, or sha256."
    )


def test_a_proxy_is_honoured(web: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    web.at("http://download.invalid/m.pb", file(CONTENT))
    path = fetch.local("http://download.invalid/m.pb", sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert web.count("http://download.invalid/m.pb") == 1


def test_a_proxy_that_is_not_there_is_blamed(
    fast_retry: RetryPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub_server.running() as stub:
        proxy = stub.url
    monkeypatch.setenv("https_proxy", proxy)
    assert message("https://example.org/m.pb", fast_retry) == (
        "GET https://example.org/m.pb: the proxy that the environment names (https_proxy, ...): "
        "Failed to establish a new connection: [Errno 111] Connection refused, after 3 tries."
    )


def test_a_proxy_that_wants_a_password_is_blamed(
    web: Stub, fast_retry: RetryPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", web.url)
    web.at("example.org:443", status(407))
    assert message("https://example.org/m.pb", fast_retry) == (
        "GET https://example.org/m.pb: the proxy that the environment names (https_proxy, ...): "
        "Tunnel connection failed: 407 Proxy Authentication Required, after 3 tries."
    )
    assert web.count("example.org:443") == 3


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, as PEM."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_a_certificate_nobody_vouches_for(certificate: Path, fast_retry: RetryPolicy) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with stub_server.running(context) as stub:
        url = stub.at("/m.pb", file(CONTENT))
        words = message(url, fast_retry)
    assert words.startswith(f"GET {url}: the server's certificate can't be trusted: ")
    assert "certificate verify failed" in words
    assert stub.count("/m.pb") == 0


def test_https_and_its_redirects(
    certificate: Path, fast_retry: RetryPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with stub_server.running(context) as stub:
        assert fetch.local(stub.at("/m.pb", file(CONTENT))).read_bytes() == CONTENT
        down = stub.url.replace("https", "http") + "/x"
        url = stub.at("/down", status(302, Location=down))
        assert message(url, fast_retry) == (
            f"GET {url}: redirects to {down!r}, where anybody on the way could change the file; "
            "not followed."
        )
