"""Files behind https: getting one whole, asking whether it is there, and what a response says.

A download goes on where it broke off only when the server names the version of the file (its ETag,
or Google's generation) and that is still the same. What a server may do wrong is named: an error
page in place of a file, fewer or other bytes than it announced, a redirect to another host.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from modelzoo_runner._version import __version__
from modelzoo_runner.errors import FetchError, HashMismatch
from modelzoo_runner.storage import retrying
from modelzoo_runner.storage.paced import pace
from modelzoo_runner.storage.partials import Partial
from modelzoo_runner.storage.retrying import Interrupted, RetryPolicy
from modelzoo_runner.storage.settings import Settings

if TYPE_CHECKING:
    import requests

_SMALLEST_CHUNK = 1 << 15
_CHUNK = 1 << 20
_HEADERS = {
    "User-Agent": f"modelzoo_runner/{__version__}",
    # Compressed on the way, neither its length nor a part of it could be compared.
    "Accept-Encoding": "identity",
}
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
_LATER = (408, 425, 429, 500, 502, 503, 504)
_ADVICE = {
    401: "It wants credentials; a private bucket's file is given as gs://bucket/object.",
    403: "Whoever asks without credentials may not have it, or no longer.",
    404: "There is no such file, or no longer.",
    410: "It is gone for good.",
}
_PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/xml", "text/xml")
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|error|head|body)", re.IGNORECASE)
_RANGE = re.compile("bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


def download(url: str, part: Partial, settings: Settings, *, size: int | None = None) -> None:
    """Write the file behind `url` to `part`, as often as it takes.

    Raises:
        FetchError: naming the URL and the status, or what the server did wrong.
        HashMismatch: it isn't as large as `size`, or not what the server's own checksum says.
    """
    import requests

    with requests.Session() as session:
        pace(session, settings.retry)
        retrying.until_done(
            lambda: _attempt(session, url, part, settings.retry, size),
            done=lambda: part.done,
            retry=settings.retry,
            what=f"GET {url}",
        )


def head(url: str, settings: Settings) -> tuple[int, int | None, str | None]:
    """Status, size and problem of the file behind `url`, which isn't sent.

    Raises:
        FetchError: there is no response, or a redirect that isn't followed.
    """
    import requests

    try:
        with requests.Session() as session:
            pace(session, settings.retry)
            with request(session, "HEAD", url, {}, settings.retry) as response:
                return _head(response)
    except Interrupted as error:
        raise FetchError(f"HEAD {url}: {error}.") from None


def _head(response: requests.Response) -> tuple[int, int | None, str | None]:
    there = response.status_code == 200
    problem = None if there else f"{response.status_code} {response.reason or ''}".rstrip()
    if there and (kind := _page_type(response)) is not None:
        problem = f"a page ({kind}) and not the file"
    return response.status_code, file_info(response).size if there else None, problem


def _attempt(
    session: requests.Session, url: str, part: Partial, retry: RetryPolicy, size: int | None
) -> None:
    """One request, from the byte the last one ended at if that can be."""
    headers = {"Range": f"bytes={part.done}-"} if part.done and part.version else {}
    with request(session, "GET", url, headers, retry) as response:
        if response.status_code == 416 and headers:
            part.restart(None)
            raise Interrupted("416: the file is shorter than what came of it before", wait=0)
        require_file(response, url)
        info = file_info(response)
        if response.status_code == 200:
            part.restart(info.version)
        elif info.version != part.version or info.start != part.done:
            part.restart(None)
            raise Interrupted("the file changed while it was fetched", wait=0)
        blocks = body(response)
        first = next(blocks, b"")
        if part.done == 0 and _PAGE.match(first):
            raise _page(url, response.headers.get("Content-Type", "no content type"), first)
        require_size(info, size, url)
        part.expect(info.size)
        for block in itertools.chain([first], blocks):
            part.write(block)
    # Without a length a response ends when the connection is closed, which may be too early.
    whole = size if info.size is None else info.size
    if whole is not None and part.done != whole:
        raise Interrupted(f"{part.done:,} of {whole:,} bytes came")
    if info.crc32c is not None and info.crc32c != part.crc32c:
        part.restart(None)
        raise Interrupted("what came does not fit the checksum the server sent with it")


def request(
    session: requests.Session, method: str, url: str, headers: dict[str, str], retry: RetryPolicy
) -> requests.Response:
    """The response to a request, to be closed, after the redirects that may be followed.

    Raises:
        Interrupted: no response, or one that says to try again.
        FetchError: another try would not help.
    """
    import requests

    here = url
    for _ in range(6):
        try:
            response = session.request(
                method,
                here,
                headers=_HEADERS | headers,
                stream=True,
                allow_redirects=False,
                timeout=(retry.connect, retry.read),
            )
        except requests.exceptions.SSLError as error:
            raise FetchError(
                f"{method} {here}: the server's certificate can't be trusted: {cause(error)}."
            ) from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Interrupted(cause(error)) from None
        except requests.RequestException as error:
            raise FetchError(f"{method} {here}: {cause(error)}.") from None
        except ValueError:  # requests looks at a redirect although it isn't to follow it
            raise FetchError(f"{method} {here}: redirects to what is no address.") from None
        if response.status_code not in (*_REDIRECTS, *_LATER):
            return response
        with response:
            if response.status_code in _LATER:
                reason = f"{response.status_code} {response.reason or ''}".rstrip()
                said = _error_message(response)
                wait = retry_after(response)
                raise Interrupted(f"{reason}: {said}" if said else reason, wait=wait)
            here = _next_hop(here, response.headers.get("Location", ""))
    raise FetchError(f"{method} {url}: the server redirects in a circle, at last to {here}.")


def _next_hop(url: str, target: str) -> str:
    """Where a redirect leads, if it may be followed."""
    if not target:
        raise FetchError(f"GET {url}: redirects to nowhere: the response has no Location.")
    old = urlsplit(url)
    try:
        there = urljoin(url, target)
        new = urlsplit(there)
        port = new.port or _PORTS.get(new.scheme)
    except ValueError:
        raise FetchError(f"GET {url}: redirects to {target!r}, which is no address.") from None
    if new.username is not None or new.password is not None:
        raise FetchError(f"GET {url}: redirects to an address with a password; not followed.")
    if new.scheme not in ("https", old.scheme):
        raise FetchError(
            f"GET {url}: redirects to {there!r}, where anybody on the way could change the file; "
            "not followed."
        )
    # From http to https the port changes too, to the usual one.
    same = old.port or _PORTS.get(old.scheme) if new.scheme == old.scheme else _PORTS["https"]
    if (new.hostname, port) != (old.hostname, same):
        raise FetchError(
            f"GET {url}: redirects to another host or port, {there}; not followed. If you trust "
            "it, give that URL, or download the file yourself and give its path."
        )
    return there


def body(response: requests.Response) -> Iterator[bytes]:
    """The bytes of a response as they come.

    Raises:
        Interrupted: they break off, or come too slowly (see `paced`).
    """
    import urllib3

    size = _SMALLEST_CHUNK
    try:
        # As they are sent: some servers call an archive's own compression one for the way.
        while block := response.raw.read1(size, decode_content=False):
            yield block
            # Encrypted lines bring 16 kB at a time, for which a MiB of memory each is slow.
            size = max(_SMALLEST_CHUNK, min(2 * len(block), _CHUNK))
    except urllib3.exceptions.HTTPError as error:
        raise Interrupted(f"the response broke off: {cause(error)}") from None


@dataclass(frozen=True)
class FileInfo:
    """What the headers of a response say of the file.

    `version` is None unless the same version is sure to be the same bytes. `start` is the byte the
    body begins at.
    """

    size: int | None
    version: str | None
    crc32c: bytes | None
    start: int


def file_info(response: requests.Response) -> FileInfo:
    """What the headers say of the file."""
    headers = response.headers
    start, size, crc32c = 0, None, None
    if part := _RANGE.fullmatch(headers.get("Content-Range", "")):
        start, size = int(part[1]), int(part[3])
    elif re.fullmatch("[0-9]{1,18}", length := headers.get("Content-Length", "")):
        size = int(length)
    version = headers.get("X-Goog-Generation") or headers.get("ETag")
    if version and version.startswith("W/"):
        version = None
    said = re.search(r"crc32c=([A-Za-z0-9+/]{6}==)", headers.get("X-Goog-Hash", ""))
    # Google's checksum is of what is stored, which may be sent decompressed.
    if said and headers.get("X-Goog-Stored-Content-Encoding", "identity") == "identity":
        crc32c = base64.b64decode(said[1])
    return FileInfo(size=size, version=version, crc32c=crc32c, start=start)


def require_file(response: requests.Response, url: str) -> None:
    """Raise unless the response calls itself a file, or the part of it that was asked for."""
    status = response.status_code
    if status not in (200, 206):
        said = _error_message(response)
        words = f"GET {url}: {status} {response.reason or ''}".rstrip()
        words += f": {said}" if said else ""
        raise FetchError(f"{words.rstrip('.')}. {_ADVICE.get(status, '')}".rstrip())
    if (kind := _page_type(response)) is not None:
        raise _page(url, kind, next(response.iter_content(200), b""))


def require_size(info: FileInfo, size: int | None, url: str) -> None:
    """Raise if the server announces another size than the one that is known."""
    if size is not None and info.size is not None and info.size != size:
        raise HashMismatch(
            f"GET {url}: the file is {info.size:,} bytes and should be {size:,}; it is not "
            "the file this location is known for."
        )


def cause(error: BaseException) -> str:
    """What is at the bottom of one of `requests`' errors, in few words."""
    import requests

    by_proxy = isinstance(error, requests.exceptions.ProxyError)
    while True:
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((each for each in error.args if isinstance(each, BaseException)), None)
        if inner is None:
            break
        error = inner
    text = str(error) or type(error).__name__
    # urllib3 puts its own objects in front: "HTTPSConnection(host=...): " or "<... at 0x7f...>: ".
    text = re.sub(r"^\w*Connection(Pool)?\([^)]*\):?\s*|^<[^>]*>:\s*", "", text).rstrip(".")
    return f"the proxy that the environment names (https_proxy, ...): {text}" if by_proxy else text


def plain_text(text: str) -> str:
    """The message in a page, an XML or a plain text, as one line of at most 150 characters."""
    for tag in ("Details", "Message", "title"):
        if found := re.search(rf"<{tag}>([^<]+)</{tag}>", text, re.IGNORECASE):
            return found[1].strip()[:150]
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:150]


def retry_after(response: requests.Response) -> float | None:
    """The seconds a response asks to wait, if it does."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    value = response.headers.get("Retry-After")
    try:
        return None if value is None else Retry().parse_retry_after(value)
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _page_type(response: requests.Response) -> str | None:
    """The content type of a response that calls itself a web page or an XML message, else None."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind if kind in _PAGE_TYPES else None


def _page(url: str, kind: str, start: bytes) -> FetchError:
    return FetchError(
        f"GET {url}: the server sent a page ({kind}) and not the file; it begins with "
        f"{start[:60]!r}. Often that is a log-in, a notice that the file was moved, or a proxy's."
    )


def _error_message(response: requests.Response) -> str:
    """The message in an error's body: a line of text, whatever it is wrapped in."""
    import requests

    try:
        return plain_text(next(response.iter_content(2000), b"").decode("utf-8", "replace"))
    except requests.RequestException:
        return ""
