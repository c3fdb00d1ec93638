"""Who asks Google Cloud Storage, and its refusals in words.

Anonymous first: a public bucket needs nobody's credentials, and Google's own client fails without
any. The first refusal brings in the environment's credentials, and they are used from there on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage import answers, retrying
from modelzoo_runner.storage.retrying import Interrupted
from modelzoo_runner.storage.settings import Settings

if TYPE_CHECKING:
    from google.cloud import storage

T = TypeVar("T")

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


class Access:
    """A client for the store, anonymous until that is refused. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        from google.auth.credentials import AnonymousCredentials

        self.settings = settings
        self.who = "anonymous"
        self._lock = threading.Lock()
        self._client = self._client_for(AnonymousCredentials(), None)

    def ask(self, url: str, action: Callable[[storage.Client], T]) -> T:
        """What `action` returns, tried again when that may help.

        Raises:
            FetchError: in words, with the account that asked.
        """
        answer: list[T] = []
        retrying.until_done(
            lambda: answer.append(self.once(url, action)),
            done=lambda: 0,
            patience=self.settings.patience,
            what=url,
        )
        return answer[0]

    def once(self, url: str, action: Callable[[storage.Client], T]) -> T:
        """What `action` returns, tried once for each account there is.

        Raises:
            Interrupted: another try may help.
            FetchError: it would not.
        """
        from google.api_core import exceptions as api

        client, who = self._client, self.who
        try:
            return self._translated(url, client, action)
        except (api.Unauthorized, api.Forbidden) as refusal:
            if who != "anonymous":
                raise FetchError(_refused(url, refusal, who)) from None
            self._use_credentials(url, refusal)
        try:
            return self._translated(url, self._client, action)
        except (api.Unauthorized, api.Forbidden) as refusal:
            raise FetchError(_refused(url, refusal, self.who)) from None

    @property
    def timeout(self) -> tuple[float, float]:
        """Seconds to connect, and seconds between two pieces of an answer."""
        return self.settings.patience.connect, self.settings.patience.read

    def _translated(
        self, url: str, client: storage.Client, action: Callable[[storage.Client], T]
    ) -> T:
        import http.client

        import requests
        import urllib3
        from google.api_core import exceptions as api
        from google.auth import exceptions as auth

        try:
            return action(client)
        except (api.Unauthorized, api.Forbidden):
            raise
        except api.NotFound as error:
            raise FetchError(
                f"{url}: 404: {_said(error)}. No bucket or object of that name that {self.who} "
                "may see, or it was overwritten while it was fetched."
            ) from None
        except (api.TooManyRequests, api.ServerError) as error:
            wait = answers.retry_after(error.response) if error.response is not None else None
            raise Interrupted(f"{error.code}: {_said(error)}", wait=wait) from None
        except api.GoogleAPICallError as error:
            raise FetchError(f"{url}: {error.code}: {_said(error)} ({self.who}).") from None
        except auth.InvalidOperation:
            # What becomes of a 401 when nobody's credentials can't be renewed.
            raise api.Unauthorized("it wants credentials") from None
        except auth.RefreshError as error:
            raise FetchError(
                f"{url}: the credentials of {self.who} are not taken: {error.args[0]}."
            ) from None
        except (
            auth.TransportError,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            ConnectionError,
        ) as error:
            raise Interrupted(answers.cause(error)) from None

    def _use_credentials(self, url: str, refusal: Any) -> None:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        with self._lock:
            if self.who != "anonymous":
                return
            try:
                credentials, project = google.auth.default(scopes=[_SCOPE])
            except DefaultCredentialsError:
                raise FetchError(
                    f"{url}: {refusal.code}: anonymous may not read it ({_said(refusal)}), and the "
                    "environment has no credentials. Run `gcloud auth application-default login`, "
                    "or set GOOGLE_APPLICATION_CREDENTIALS to a key file of an account that may."
                ) from None
            self.who = (
                getattr(credentials, "service_account_email", None)
                or getattr(credentials, "account", None)
                or "the environment's credentials"
            )
            self._client = self._client_for(credentials, project)

    def _client_for(self, credentials: Any, project: str | None) -> storage.Client:
        from google.cloud import storage

        endpoint = self.settings.endpoint
        client = storage.Client(
            # Only creating and listing buckets needs a project; nothing here does.
            project=project or "<none>",
            credentials=credentials,
            client_options={"api_endpoint": endpoint} if endpoint else None,
        )
        # Where OpenTelemetry is installed, a thread would ask for facts of the bucket for a trace.
        client._bucket_metadata_cache = None
        return client


def _refused(url: str, refusal: Any, who: str) -> str:
    return (
        f"{url}: {refusal.code}: {who} may not read it, nor may anonymous: {_said(refusal)}. It "
        "needs storage.objects.get, and storage.objects.list for a folder or a pattern."
    )


def _said(error: Any) -> str:
    """What the server said, without the request and the library's own words around it."""
    text = re.sub(r"^(GET|POST) \S+: ", "", str(error.message))
    text = text.partition(": ('Request failed with status code'")[0]
    return answers.plain_text(text).rstrip(".") or "no further word"
