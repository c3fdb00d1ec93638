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
from modelzoo_runner.storage import answers, retrying
from modelzoo_runner.storage.partial import Partial
from modelzoo_runner.storage.retrying import Interrupted
from modelzoo_runner.storage.settings import Patience, Settings

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 20
_HEADERS = {
    "User-Agent": f"modelzoo_runner/{__version__}",
    # Compressed on the way, neither its length nor a part of it could be compared.
    "Accept-Encoding": "identity",
}
_REDIRECTS = (301, 302, 303, 307, 308)


def download(url: str, part: Partial, settings: Settings, *, size: int | None = None) -> None:
    """Write the file behind `url` to `part`, as often as it takes.

    Raises:
        FetchError: naming the URL and the status, or what the server did wrong.
        HashMismatch: it isn't as large as `size`, or not what the server's own checksum says.
    """
    import requests

    with requests.Session() as session:
        retrying.until_done(
            lambda: attempt(session, url, part, settings.patience, size=size),
            done=lambda: part.done,
            patience=settings.patience,
            what=f"GET {url}",
        )


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a server says of a file without sending it; `problem` is None when it is there."""

    status: int
    size: int | None
    problem: str | None


def look(url: str, settings: Settings) -> Look:
    """What the server says of the file behind `url`.

    Raises:
        FetchError: there is no answer, or a redirect that isn't followed.
    """
    import requests

    try:
        with (
            requests.Session() as session,
            asked(session, "HEAD", url, {}, settings.patience) as answer,
        ):
            there = answer.status_code == 200
            problem = None if there else f"{answer.status_code} {answer.reason or ''}".rstrip()
            if there and (kind := answers.page_type(answer)) is not None:
                problem = f"a page ({kind}) and not the file"
            size = answers.facts(answer).size if there else None
            return Look(status=answer.status_code, size=size, problem=problem)
    except Interrupted as error:
        raise FetchError(f"HEAD {url}: {error}.") from None


def attempt(
    session: requests.Session,
    url: str,
    part: Partial,
    patience: Patience,
    *,
    size: int | None = None,
    refuse: Callable[[requests.Response], None] = lambda answer: None,
) -> None:
    """One request, from the byte the last one ended at if that can be.

    `refuse` sees the answer first, and raises if it has better words for it.

    Raises:
        Interrupted: another attempt may bring the rest.
        FetchError: it would not.
    """
    headers = {"Range": f"bytes={part.done}-"} if part.done and part.version else {}
    with asked(session, "GET", url, headers, patience) as answer:
        refuse(answer)
        if answer.status_code == 416 and headers:
            part.restart(None)
            raise Interrupted("416: the file is shorter than what came of it before", wait=0)
        answers.refuse_status(answer, url)
        answers.refuse_page_type(answer, url)
        facts = answers.facts(answer)
        if answer.status_code == 206:
            if facts.version != part.version or facts.start != part.done:
                part.restart(None)
                raise Interrupted("the file changed while it was fetched", wait=0)
        else:
            part.restart(facts.version)
        blocks = body(answer, patience)
        first = next(blocks, b"")
        if part.done == 0:
            answers.refuse_page(answer, url, first)
        if size is not None and facts.size is not None and facts.size != size:
            raise HashMismatch(
                f"GET {url}: the file is {facts.size:,} bytes and should be {size:,}; it is not "
                "the file this location is known for."
            )
        part.expect(facts.size)
        for block in itertools.chain([first], blocks):
            part.write(block)
    # Without a length an answer ends when the server hangs up, which it may do too early.
    whole = size if facts.size is None else facts.size
    if whole is not None and part.done != whole:
        raise Interrupted(f"{part.done:,} of {whole:,} bytes came")
    if facts.crc32c is not None and facts.crc32c != part.crc32c:
        part.restart(None)
        raise Interrupted("what came does not fit the checksum the server sent with it")


def body(answer: requests.Response, patience: Patience) -> Iterator[bytes]:
    """The bytes of an answer as they come, as long as they come at a useful rate.

    What counts is the time in which they are waited for, not what is done with them.

    Raises:
        Interrupted: they don't, or they break off.
    """
    import urllib3

    waited, came = 0.0, 0
    try:
        while True:
            asked = time.monotonic()
            # As they are sent: some servers call an archive's own compression one for the way.
            block = answer.raw.read1(_CHUNK, decode_content=False)
            waited += time.monotonic() - asked
            if not block:
                return
            yield block
            came += len(block)
            if waited > patience.slow_after:
                if came < patience.slowest * waited:
                    raise Interrupted(f"only {came:,} bytes came in {waited:.0f} s")
                waited, came = 0.0, 0
    except urllib3.exceptions.HTTPError as error:
        raise Interrupted(f"the answer broke off: {answers.cause(error)}") from None


@contextmanager
def asked(
    session: requests.Session, method: str, url: str, headers: dict[str, str], patience: Patience
) -> Iterator[requests.Response]:
    """The answer to a request, after the redirects that may be followed.

    Raises:
        Interrupted: no answer, or one that says to try again.
        FetchError: another try would not help.
    """
    import requests

    here = url
    for _ in range(6):
        try:
            answer = session.request(
                method,
                here,
                headers=_HEADERS | headers,
                stream=True,
                allow_redirects=False,
                timeout=(patience.connect, patience.read),
            )
        except requests.exceptions.SSLError as error:
            raise FetchError(
                f"{method} {here}: the server's certificate can't be trusted: "
                f"{answers.cause(error)}."
            ) from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Interrupted(answers.cause(error)) from None
        except requests.RequestException as error:
            raise FetchError(f"{method} {here}: {answers.cause(error)}.") from None
        with answer:
            if answer.status_code not in _REDIRECTS:
                answers.ask_again_later(answer)
                yield answer
                return
            here = _next_hop(here, answer.headers.get("Location", ""))
    raise FetchError(f"{method} {url}: the server redirects in a circle, at last to {here}.")


def _next_hop(url: str, target: str) -> str:
    """Where a redirect leads, if it may be followed."""
    if not target:
        raise FetchError(f"GET {url}: redirects to nowhere: the answer has no Location.")
    there = urljoin(url, target)
    old, new = urlsplit(url), urlsplit(there)
    if new.scheme not in ("https", old.scheme):
        raise FetchError(
            f"GET {url}: redirects to {there!r}, where anybody on the way could change the file; "
            "not followed."
        )
    if new.hostname != old.hostname:
        raise FetchError(
            f"GET {url}: redirects to another host, {there}; not followed. If you trust it, give "
            "that URL, or download the file yourself and give its path."
        )
    return there
