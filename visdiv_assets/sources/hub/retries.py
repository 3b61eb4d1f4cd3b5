"""Retry requests that fail in a way that may pass."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import TypeVar

from visdiv_assets.errors import SourceError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Retries:
    """How often and how fast a request is retried.

    Attributes:
        attempts: maximum number of attempts.
        attempts_unreached: maximum number of attempts if no request has reached the server yet: it may be offline.
        first_wait: seconds before the second attempt; each wait is twice the one before, minus a random part of up to
            half of it, so that many processes do not retry all at once.
        longest_wait: maximum seconds of such a wait.
        longest_asked: maximum seconds that a server may ask to wait; a longer wait ends the retries.
    """

    attempts: int = 8
    attempts_unreached: int = 3
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 900.0


class Fault(Exception):  # noqa: N818 - it is no error until the last attempt
    """An attempt failed in a way that may pass.

    Attributes:
        reason: a short description.
        asked: seconds that the server asks to wait, if any.
        unreached: whether this and all earlier requests failed to reach the server.
    """

    def __init__(self, reason: str, *, asked: float | None = None, unreached: bool = False) -> None:
        super().__init__(reason)
        self.reason = " ".join(reason.split())
        self.asked = asked
        self.unreached = unreached


def retry(attempt: Callable[[], Result], what: str, retries: Retries) -> Result:
    """Return the result of `attempt`, which is retried while it raises Fault; each retry is logged.

    Args:
        attempt: raises Fault if a retry may succeed, and another exception if not.
        what: the fetched object, for messages.
        retries: how often and how fast to retry.

    Raises:
        SourceError: the last attempt failed too, or the server asks for too long a wait.
    """
    for count in range(1, retries.attempts + 1):
        try:
            return attempt()
        except Fault as fault:
            if fault.asked is not None and fault.asked > retries.longest_asked:
                raise SourceError(
                    f"{what}: the server asks to wait {fault.asked:.0f} seconds ({fault.reason}): run again later, or "
                    f"set HF_TOKEN, which raises the rate limit"
                ) from None
            if fault.unreached and count >= retries.attempts_unreached:
                raise SourceError(
                    f"{what}: the server cannot be reached ({fault.reason}): check the network, the proxy and "
                    f"HF_ENDPOINT; without a network, give a folder in VISDIV_SOURCE"
                ) from None
            if count == retries.attempts:
                raise SourceError(
                    f"{what} could not be downloaded in {count} attempts ({fault.reason}): run again later; "
                    f"downloaded data is kept"
                ) from None
            wait = _wait(count, fault, retries)
            logger.warning("%s: %s; attempt %d of %d in %.1f s", what, fault.reason, count + 1, retries.attempts, wait)
            sleep(wait)
    raise AssertionError("Retries.attempts is less than 1")


def _wait(count: int, fault: Fault, retries: Retries) -> float:
    if fault.asked is not None:
        return fault.asked + random.uniform(0, min(retries.first_wait, 1))
    return min(retries.longest_wait, retries.first_wait * 2.0 ** (count - 1)) * random.uniform(0.5, 1)
