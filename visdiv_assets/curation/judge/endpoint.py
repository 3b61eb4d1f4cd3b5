"""Requests to an OpenAI-compatible endpoint for chat completions, with a limited number of retries.

Errors name the kind of a failure and never quote what the server says, which may repeat the key or the data.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from visdiv_assets.curation.judge.budget import Budget
from visdiv_assets.curation.judge.protocol import BadReplyError, Reply, tokens_of
from visdiv_assets.errors import VisdivError

if TYPE_CHECKING:
    import httpx2

#: Maximum bytes of a response that are read; a chat completion with a rating has about a thousand.
MAX_RESPONSE_BYTES = 1_000_000

#: Seconds for a connection, and between two pieces of a response: a busy server lets requests wait in line.
CONNECT_SECONDS, READ_SECONDS = 10.0, 300.0

#: Status codes of a wrong key, address or model: no other request would fare better.
_REFUSED = {
    401: "it does not accept the key: correct VISDIV_JUDGE_KEY_FILE",
    402: "it requires payment",
    403: "the key may not be used for this: correct VISDIV_JUDGE_KEY_FILE",
    404: "it has no such path or model: correct VISDIV_JUDGE_URL, which usually ends in /v1, or VISDIV_JUDGE_MODEL",
    405: "it does not accept chat completions: correct VISDIV_JUDGE_URL, which usually ends in /v1",
}


class JudgeError(VisdivError):
    """The judge cannot be asked anything: its settings are wrong, or it does not answer."""


@dataclass(frozen=True)
class Failure:
    """A question that was not answered.

    Attributes:
        reason: why, in a few words, the same for the same kind of failure.
        spent: whether the budget was reached before an answer, so that a later run should ask again.
        counts: whether the endpoint may be at fault, and not this question alone.
    """

    reason: str
    spent: bool = False
    counts: bool = True


#: The reason of a question for which the budget was not enough.
OUT_OF_BUDGET = Failure("budget reached", spent=True)


@dataclass(frozen=True)
class Patience:
    """How often a request is tried, and how long the waits between are.

    Attributes:
        attempts: maximum number of requests for one question.
        first_wait: seconds before the first retry; each wait is twice as long as the one before.
        longest_wait: maximum seconds of a wait, also of one that the server asks for.
    """

    attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 60.0


class Endpoint:
    """An endpoint; threads share it."""

    def __init__(self, url: str, key: str, budget: Budget, *, patience: Patience | None = None) -> None:
        """Prepare connections; nothing is sent.

        Args:
            url: the base of the API, which usually ends in /v1.
            key: sent as a bearer token; empty: none.
            budget: counts all requests.
            patience: retries.
        """
        import httpx2

        self._url = f"{url.rstrip('/')}/chat/completions"
        self._shown = url
        self._budget = budget
        self._patience = patience or Patience()
        self._stopped = threading.Event()
        self._has_answered = False
        # A redirect is not followed: it would send the key and the images to another server.
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            follow_redirects=False,
        )

    def close(self) -> None:
        """End all waits between retries, and close the connections."""
        self._stopped.set()
        self._client.close()

    def ask(self, body: dict[str, Any], check: Callable[[bytes], Reply]) -> Reply | Failure:
        """Send a request until it is answered well, at most as often as the patience allows.

        Args:
            body: of the request.
            check: returns the reply in a response.

        Raises:
            JudgeError: the server refuses all such requests, or cannot be reached at all.
        """
        failure = Failure("stopped", spent=True)
        for attempt in range(self._patience.attempts):
            if self._stopped.is_set():
                return Failure("stopped", spent=True)
            if not self._budget.take():
                return OUT_OF_BUDGET
            asked_wait: float | None = None
            try:
                status, asked_wait, data = self._send(body)
                if status == 200:
                    # Also what a bad reply has cost counts.
                    self._budget.use(*tokens_of(data))
                    reply = check(data)
                    self._has_answered = True
                    return reply
                failure = Failure(f"HTTP {status}")
                if status not in (408, 429) and status < 500:
                    return self._refused(status)
            except (BadReplyError, _NoResponseError) as error:
                failure = Failure(str(error))
            if attempt + 1 < self._patience.attempts:
                self._stopped.wait(self._wait(attempt, asked_wait))
        return failure

    def _refused(self, status: int) -> Failure:
        if status in _REFUSED or 300 <= status < 400:
            advice = _REFUSED.get(status, "it redirects to another address: set VISDIV_JUDGE_URL to that")
            raise JudgeError(f"the judge at {self._shown} answers HTTP {status}: {advice}")
        # A server that answers others refuses only this question, for example because its image is too large.
        return Failure(f"HTTP {status}", counts=status < 400 or not self._has_answered)

    def _send(self, body: dict[str, Any]) -> tuple[int, float | None, bytes]:
        """Return the status, the seconds that the server asks to wait, and the beginning of the content."""
        import httpx2

        try:
            with self._client.stream("POST", self._url, json=body) as response:
                data = b""
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > MAX_RESPONSE_BYTES:
                        raise BadReplyError("the response is too long")
                return response.status_code, _asked_wait(response), data
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL):
            raise JudgeError(f"{self._shown} is not the address of a server: correct VISDIV_JUDGE_URL") from None
        except httpx2.TimeoutException:
            raise _NoResponseError("timed out") from None
        except (httpx2.TransportError, httpx2.DecodingError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not self._stopped.is_set():
                raise
            raise _NoResponseError("no connection") from None

    def _wait(self, attempt: int, asked: float | None) -> float:
        """Return the seconds to wait: what the server asks for, else twice as long each time, with a random part."""
        wait = self._patience.first_wait * 2**attempt * random.uniform(0.5, 1.0) if asked is None else asked
        return min(wait, self._patience.longest_wait)


class _NoResponseError(Exception):
    """A request without a response."""


def _asked_wait(response: httpx2.Response) -> float | None:
    value = response.headers.get("retry-after", "").strip()
    return float(value) if value.isascii() and value.isdecimal() else None
