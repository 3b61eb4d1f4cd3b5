"""Trying again: how often, how long apart, and what is said of it."""

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
    """How a request is repeated.

    Attributes:
        attempts: times that it is tried in all.
        attempts_unreached: times that it is tried if the server cannot be reached, and never was: we may be offline.
        first_wait: seconds before the second attempt; each wait is twice as long as the one before, less up to half of
            it, by chance, so that many processes do not come back all at once.
        longest_wait: seconds that such a wait never exceeds.
        longest_asked: seconds; a server that asks to wait longer than this is not waited for.
    """

    attempts: int = 8
    attempts_unreached: int = 3
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 900.0


class Fault(Exception):  # noqa: N818 - it is no error until it has come too often
    """An attempt failed in a way that may pass.

    Attributes:
        reason: what happened, in a few words.
        asked: seconds that the server asks to wait.
        unreached: whether no server was reached, now or before.
    """

    def __init__(self, reason: str, *, asked: float | None = None, unreached: bool = False) -> None:
        super().__init__(reason)
        self.reason = " ".join(reason.split())
        self.asked = asked
        self.unreached = unreached


def retry(attempt: Callable[[], Result], what: str, retries: Retries) -> Result:
    """What `attempt` returns, tried again while it raises Fault; each time is a line in the log.

    Args:
        attempt: raises Fault where another attempt may succeed, anything else where none will.
        what: what is fetched, for messages.
        retries: how often and how long apart.

    Raises:
        SourceError: the last attempt failed as well, or the server asks for a wait that is too long.
    """
    for number in range(1, retries.attempts + 1):
        try:
            return attempt()
        except Fault as fault:
            if fault.asked is not None and fault.asked > retries.longest_asked:
                raise SourceError(
                    f"{what}: the server asks to wait {fault.asked:.0f} seconds ({fault.reason}): run again later, or "
                    f"set HF_TOKEN, which allows more requests"
                ) from None
            if fault.unreached and number >= retries.attempts_unreached:
                raise SourceError(
                    f"{what}: the server cannot be reached ({fault.reason}): check the network, the proxy and "
                    f"HF_ENDPOINT; without a network, give a folder in VISDIV_SOURCE"
                ) from None
            if number == retries.attempts:
                raise SourceError(
                    f"{what} could not be fetched in {number} attempts ({fault.reason}): run again later, what was "
                    f"fetched is kept"
                ) from None
            wait = _wait(number, fault, retries)
            logger.warning("%s: %s; attempt %d of %d in %.1f s", what, fault.reason, number + 1, retries.attempts, wait)
            sleep(wait)
    raise AssertionError("at least one attempt is made")


def _wait(number: int, fault: Fault, retries: Retries) -> float:
    if fault.asked is not None:
        return fault.asked + random.uniform(0, min(retries.first_wait, 1))
    return min(retries.longest_wait, retries.first_wait * 2.0 ** (number - 1)) * random.uniform(0.5, 1)
