"""Google Cloud Storage: the objects of a bucket, who asks for them, and its refusals as errors.

Anonymous first: a public bucket needs nobody's credentials, and Google's own client fails without
any. The first refusal brings in the environment's credentials, and they are used from there on.
Objects are read by their generation, so that all bytes are of one version.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from modelzoo_runner.errors import FetchError, RunnerError
from modelzoo_runner.storage import retrying, web
from modelzoo_runner.storage.listing import StoredObject
from modelzoo_runner.storage.locations import BucketPlace
from modelzoo_runner.storage.paced import pace
from modelzoo_runner.storage.retrying import Interrupted
from modelzoo_runner.storage.settings import Settings

if TYPE_CHECKING:
    import requests
    from google.cloud import storage

T = TypeVar("T")

_CONNECTIONS = 256
"""How many may be kept open: as many as threads read at once, on the largest machines."""

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


@dataclass(frozen=True)
class Account:
    """An account: Google's client for metadata, and a session for the bytes of objects."""

    who: str
    client: storage.Client
    session: requests.Session


class Buckets:
    """The buckets as a store, by an account: anonymous until that is refused.

    Threads may share it.
    """

    def __init__(self, settings: Settings) -> None:
        from google.auth.credentials import AnonymousCredentials

        self.settings = settings
        self._account = _account("anonymous", AnonymousCredentials(), None, settings)
        self._lock = threading.Lock()

    @property
    def who(self) -> str:
        return self._account.who

    def find(self, place: BucketPlace) -> StoredObject | None:

        def found(account: Account) -> StoredObject | None:
            bucket = account.client.bucket(place.bucket)
            blob = bucket.get_blob(place.name, retry=None, timeout=self._timeout)
            return None if blob is None else _stored(blob)

        return self._ask(place.url, found)

    def below(self, place: BucketPlace, base: str) -> list[StoredObject]:

        def found(account: Account) -> list[StoredObject]:
            blobs = account.client.list_blobs(
                place.bucket, prefix=base, retry=None, timeout=self._timeout
            )
            return [_stored(blob) for blob in blobs if not blob.name.endswith("/")]

        return self._ask(place.url, found)

    def blocks(self, stored: StoredObject, start: int) -> Iterator[bytes]:
        # Google's own download reads 8 kB at a time and takes several times the CPU time.
        url = (
            f"{self.settings.endpoint or 'https://storage.googleapis.com'}/download/storage/v1/b/"
            f"{stored.bucket}/o/{quote(stored.name, safe='')}?alt=media&"
            f"generation={stored.generation}"
        )
        headers = {"Range": f"bytes={start}-"} if start else {}
        retry = self.settings.retry

        def opened(account: Account) -> requests.Response:
            response = web.request(account.session, "GET", url, headers, retry)
            try:
                if response.status_code in (401, 403, 404):
                    from google.api_core.exceptions import from_http_response

                    raise from_http_response(response)
                web.require_file(response, url)
            except BaseException:
                response.close()
                raise
            return response

        with self._once(stored.url, opened) as response:
            info = web.file_info(response)
            web.require_size(info, stored.size, url)
            if info.start != start:
                raise FetchError(f"{stored.url}: the server doesn't send parts of a file.")
            yield from web.body(response)

    @property
    def _timeout(self) -> tuple[float, float]:
        """Seconds to connect, and seconds between two pieces of a response."""
        return self.settings.retry.connect, self.settings.retry.read

    def _ask(self, url: str, action: Callable[[Account], T]) -> T:
        """What `action` returns, tried again when that may help."""
        once = functools.partial(self._once, url, action)
        return retrying.until_done(once, retry=self.settings.retry, what=url)

    def _once(self, url: str, action: Callable[[Account], T]) -> T:
        """What `action` returns, tried once for each account there is."""
        from google.api_core.exceptions import Forbidden, Unauthorized

        account = self._account
        while True:
            try:
                return _translated(url, account, action)
            except (Unauthorized, Forbidden) as refusal:
                if account.who != "anonymous":
                    raise FetchError(
                        f"{url}: {refusal.code}: {account.who} may not read it, nor may anonymous: "
                        f"{_said(refusal)}. It needs storage.objects.get, and storage.objects.list "
                        "for a folder or a pattern."
                    ) from None
                account = self._with_credentials(url, refusal)

    def _with_credentials(self, url: str, refusal: Any) -> Account:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        with self._lock:
            if self._account.who != "anonymous":
                return self._account
            try:
                credentials, project = google.auth.default(scopes=[_SCOPE])
            except DefaultCredentialsError as error:
                raise FetchError(
                    f"{url}: {refusal.code}: anonymous may not read it ({_said(refusal)}), and "
                    f"{_why_no_credentials(error)}. Run `gcloud auth application-default login`, "
                    "or set GOOGLE_APPLICATION_CREDENTIALS to a key file of an account that may."
                ) from None
            who = (
                getattr(credentials, "service_account_email", None)
                or getattr(credentials, "account", None)
                or "the environment's account"
            )
            self._account = _account(who, credentials, project, self.settings)
            return self._account


def _account(who: str, credentials: Any, project: str | None, settings: Settings) -> Account:
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud import storage

    endpoint = settings.endpoint
    for_facts = AuthorizedSession(credentials)
    pace(for_facts, settings.retry)
    # Google's servers redirect nobody; what redirects isn't one of them.
    for_facts.max_redirects = 0
    client = storage.Client(
        # Only creating and listing buckets needs a project; nothing here does.
        project=project or "<none>",
        credentials=credentials,
        client_options={"api_endpoint": endpoint} if endpoint else None,
        _http=for_facts,
    )
    # Where OpenTelemetry is installed, a thread would ask for facts of the bucket for a trace.
    client._bucket_metadata_cache = None
    for_bytes = AuthorizedSession(credentials)
    pace(for_bytes, settings.retry, connections=_CONNECTIONS)
    return Account(who, client, for_bytes)


def _stored(blob: Any) -> StoredObject:
    if blob.content_encoding not in (None, "", "identity"):
        raise FetchError(
            f"gs://{blob.bucket.name}/{blob.name}: it is stored with Content-Encoding: "
            f"{blob.content_encoding}, so what arrives isn't what was put there; store it without."
        )
    if not isinstance(blob.name, str):
        raise TypeError(f"the name of an object is {blob.name!r}")
    return StoredObject(
        bucket=blob.bucket.name,
        name=blob.name,
        generation=str(blob.generation),
        size=int(blob.size),
        crc32c=blob.crc32c,
    )


def _translated(url: str, account: Account, action: Callable[[Account], T]) -> T:
    """What `action` returns; whatever Google's libraries raise, as one of ours.

    Only a refusal stays as it is: somebody else may be let in.
    """
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    try:
        return action(account)
    except (api.Unauthorized, api.Forbidden, RunnerError):
        raise
    except auth.InvalidOperation:
        # How a 401 is reported for anonymous credentials, which can't be renewed.
        raise api.Unauthorized("it needs credentials") from None
    except api.NotFound as error:
        raise FetchError(
            f"{url}: 404: {_said(error)}. No bucket or object of that name that {account.who} may "
            "see, or it was overwritten while it was fetched."
        ) from None
    except (api.TooManyRequests, api.ServerError) as error:
        wait = web.retry_after(error.response) if error.response is not None else None
        raise Interrupted(f"{error.code}: {_said(error)}", wait=wait) from None
    except api.GoogleAPICallError as error:
        raise FetchError(f"{url}: {error.code}: {_said(error)} ({account.who}).") from None
    except auth.RefreshError as error:
        raise FetchError(
            f"{url}: the credentials of {account.who} were refused: {error.args[0]}."
        ) from None
    except requests.TooManyRedirects as error:
        there = "" if error.response is None else error.response.headers.get("Location", "")
        raise FetchError(f"{url}: the server redirects to {there!r}; not followed.") from None
    except requests.JSONDecodeError as error:
        raise FetchError(
            f"{url}: the response is not one of Google Cloud Storage; it begins with "
            f"{error.doc[:60]!r}. Often that is a log-in or a proxy's page."
        ) from None
    except (auth.TransportError, requests.RequestException) as error:
        raise Interrupted(web.cause(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # What Google's libraries make of an answer in another form.
        raise FetchError(
            f"{url}: the response is not one of Google Cloud Storage ({type(error).__name__}: "
            f"{error}). Often that is a log-in or a proxy's page."
        ) from None


def _why_no_credentials(error: Exception) -> str:
    """Why the environment's credentials can't be had, as the end of a sentence."""
    if "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ:
        return "the environment has no credentials"
    text = str(error.args[0]).partition("\n")[0].rstrip(".")
    return f"GOOGLE_APPLICATION_CREDENTIALS names none: {text}"


def _said(error: Any) -> str:
    """What the server said, without the request that Google's libraries put in front of it."""
    text = re.sub(r"^(GET|POST) \S+: ", "", str(error.message))
    return web.plain_text(text).rstrip(".") or "no further word"
