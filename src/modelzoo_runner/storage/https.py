"""Files behind https: getting one whole, and asking whether it is there.

A download goes on where it broke off only when the server names the version of the file (its ETag,
or Google's generation) and that is still the same. What a server may do wrong is named: an error
page in place of a file, fewer or other bytes than it announced, a redirect to another host.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from modelzoo_runner._version import __version__
from modelzoo_runner.errors import FetchError, HashMismatch
from modelzoo_runner.storage import responses, retrying
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


def download(url: str, part: Partial, settings: Settings, *, size: int | None = None) -> None:
    """Write the file behind `url` to `part`, as often as it takes.

    Raises:
        FetchError: naming the URL and the status, or what the server did wrong.
        HashMismatch: it isn't as large as `size`, or not what the server's own checksum says.
    """
    import requests

    with requests.Session() as session:
        retrying.until_done(
            lambda: attempt(session, url, part, settings.retry, size=size),
            done=lambda: part.done,
            retry=settings.retry,
            what=f"GET {url}",
        )


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a server says of a file without sending it; `problem` is None when it is there."""

    status: int
    size: int | None
    problem: str | None


def head(url: str, settings: Settings) -> Head:
    """What the server says of the file behind `url`.

    Raises:
        FetchError: there is no response, or a redirect that isn't followed.
    """
    import requests

    try:
        with (
            requests.Session() as session,
            request(session, "HEAD", url, {}, settings.retry) as response,
        ):
            there = response.status_code == 200
            problem = None if there else f"{response.status_code} {response.reason or ''}".rstrip()
            if there and (kind := responses.page_type(response)) is not None:
                problem = f"a page ({kind}) and not the file"
            size = responses.file_info(response).size if there else None
            return Head(status=response.status_code, size=size, problem=problem)
    except Interrupted as error:
        raise FetchError(f"HEAD {url}: {error}.") from None


def attempt(
    session: requests.Session,
    url: str,
    part: Partial,
    retry: RetryPolicy,
    *,
    size: int | None = None,
    refuse: Callable[[requests.Response], None] = lambda response: None,
) -> None:
    """One request, from the byte the last one ended at if that can be.

    `refuse` is called with the response first, and raises if it has a better message.

    Raises:
        Interrupted: another attempt may bring the rest.
        FetchError: it would not.
    """
    headers = {"Range": f"bytes={part.done}-"} if part.done and part.version else {}
    with request(session, "GET", url, headers, retry) as response:
        refuse(response)
        if response.status_code == 416 and headers:
            part.restart(None)
            raise Interrupted("416: the file is shorter than what came of it before", wait=0)
        responses.raise_for_status(response, url)
        responses.refuse_page_type(response, url)
        info = responses.file_info(response)
        if response.status_code == 206:
            if info.version != part.version or info.start != part.done:
                part.restart(None)
                raise Interrupted("the file changed while it was fetched", wait=0)
        else:
            part.restart(info.version)
        blocks = body(response, retry)
        first = next(blocks, b"")
        if part.done == 0:
            responses.refuse_page(response, url, first)
        if size is not None and info.size is not None and info.size != size:
            raise HashMismatch(
                f"GET {url}: the file is {info.size:,} bytes and should be {size:,}; it is not "
                "the file this location is known for."
            )
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


def body(response: requests.Response, retry: RetryPolicy) -> Iterator[bytes]:
    """The bytes of a response as they come, as long as they come at a useful rate.

    What counts is the time in which they are waited for, not what is done with them.

    Raises:
        Interrupted: they don't, or they break off.
    """
    import urllib3

    waited, came, size = 0.0, 0, _SMALLEST_CHUNK
    try:
        while True:
            began = time.monotonic()
            # As they are sent: some servers call an archive's own compression one for the way.
            block = response.raw.read1(size, decode_content=False)
            waited += time.monotonic() - began
            if not block:
                return
            yield block
            # Encrypted lines bring 16 kB at a time, for which a MiB of memory each is slow.
            size = max(_SMALLEST_CHUNK, min(2 * len(block), _CHUNK))
            came += len(block)
            if waited > retry.slow_after:
                if came < retry.slowest * waited:
                    raise Interrupted(f"only {came:,} bytes came in {waited:.0f} s")
                waited, came = 0.0, 0
    except urllib3.exceptions.HTTPError as error:
        raise Interrupted(f"the response broke off: {responses.cause(error)}") from None


@contextmanager
def request(
    session: requests.Session, method: str, url: str, headers: dict[str, str], retry: RetryPolicy
) -> Iterator[requests.Response]:
    """The response to a request, after the redirects that may be followed.

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
                f"{method} {here}: the server's certificate can't be trusted: "
                f"{responses.cause(error)}."
            ) from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Interrupted(responses.cause(error)) from None
        except requests.RequestException as error:
            raise FetchError(f"{method} {here}: {responses.cause(error)}.") from None
        except ValueError:  # requests looks at a redirect although it isn't to follow it
            raise FetchError(f"{method} {here}: redirects to what is no address.") from None
        with response:
            if response.status_code not in _REDIRECTS:
                responses.raise_if_retryable(response)
                yield response
                return
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
