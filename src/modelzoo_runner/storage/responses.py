"""What an http response says of a file: its size and version; or what went wrong, in words."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage.retrying import Interrupted

if TYPE_CHECKING:
    import requests

_LATER = (408, 425, 429, 500, 502, 503, 504)
_PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/xml", "text/xml")
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|error|head|body)", re.IGNORECASE)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


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
    start, size = 0, None
    if part := _RANGE.fullmatch(headers.get("Content-Range", "")):
        start, size = int(part[1]), int(part[3])
    elif headers.get("Content-Length", "").isdigit():
        size = int(headers["Content-Length"])
    version = headers.get("X-Goog-Generation") or headers.get("ETag")
    if version and version.startswith("W/"):
        version = None
    return FileInfo(size=size, version=version, crc32c=_crc32c(response), start=start)


def raise_for_status(response: requests.Response, url: str) -> None:
    """Raise unless the response is a file, or the part of it that was asked for."""
    status = response.status_code
    if status in (200, 206):
        return
    advice = {
        401: "It wants credentials; a private bucket's file is given as gs://bucket/object.",
        403: "Whoever asks without credentials may not have it, or no longer.",
        404: "There is no such file, or no longer.",
        410: "It is gone for good.",
    }.get(status, "")
    said = _error_message(response)
    words = [f"GET {url}: {status} {response.reason or ''}".rstrip(), f": {said}" if said else ""]
    raise FetchError(f"{''.join(words).rstrip('.')}. {advice}".rstrip())


def raise_if_retryable(response: requests.Response) -> None:
    """Raise `Interrupted` if the response is one of those that another try may change."""
    if response.status_code not in _LATER:
        return
    wait = retry_after(response)
    said = _error_message(response)
    reason = f"{response.status_code} {response.reason or ''}".rstrip()
    raise Interrupted(f"{reason}: {said}" if said else reason, wait=wait)


def page_type(response: requests.Response) -> str | None:
    """The content type of a response that calls itself a web page or an XML message, else None."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind if kind in _PAGE_TYPES else None


def refuse_page_type(response: requests.Response, url: str) -> None:
    """Raise if the response calls itself a web page or an XML message."""
    if (kind := page_type(response)) is not None:
        raise _not_a_file(url, kind, next(response.iter_content(200), b""))


def refuse_page(response: requests.Response, url: str, start: bytes) -> None:
    """Raise if the first bytes are those of a web page or an XML message."""
    if _PAGE.match(start):
        raise _not_a_file(url, response.headers.get("Content-Type", "no content type"), start)


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
    if value is None:
        return None
    try:
        return Retry().parse_retry_after(value)
    except InvalidHeader:
        return None


def _not_a_file(url: str, kind: str, start: bytes) -> FetchError:
    return FetchError(
        f"GET {url}: the server sent a page ({kind}) and not the file; it begins with "
        f"{start[:60]!r}. Often that is a log-in, a notice that the file was moved, or a proxy's."
    )


def _error_message(response: requests.Response) -> str:
    """The message in an error's body: a line of text, whatever it is wrapped in."""
    import requests

    try:
        text = next(response.iter_content(2000), b"").decode("utf-8", "replace")
    except requests.RequestException:
        return ""
    return plain_text(text)


def _crc32c(response: requests.Response) -> bytes | None:
    """The checksum of the whole file that Google's servers send along."""
    if response.headers.get("X-Goog-Stored-Content-Encoding", "identity") != "identity":
        return None
    found = re.search(r"crc32c=([A-Za-z0-9+/]{6}==)", response.headers.get("X-Goog-Hash", ""))
    return base64.b64decode(found[1]) if found else None
