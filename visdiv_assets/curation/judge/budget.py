"""What a run may ask of a judge: a number of requests or of tokens."""

from __future__ import annotations

import re
import threading
from typing import NamedTuple

_FORM = re.compile(r"(\d+) (requests|tokens)")


class Limit(NamedTuple):
    """A maximum.

    Attributes:
        amount: of requests or tokens; None: no maximum.
        unit: "requests" or "tokens".
    """

    amount: int | None
    unit: str = "requests"


def parse_limit(text: str) -> Limit:
    """Return the maximum that a setting states: "500 requests", "2000000 tokens", or empty for none.

    Raises:
        ValueError: it has another form.
    """
    if not text:
        return Limit(None)
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("use a number and a unit, such as 500 requests or 2000000 tokens, or nothing for no limit")
    return Limit(int(found[1]), found[2])


class Budget:
    """Counts what was spent; threads share it.

    Attributes:
        requests: requests sent, retries included.
        tokens_in: tokens of the requests, as the server has counted them.
        tokens_out: tokens of the replies.
    """

    def __init__(self, limit: Limit) -> None:
        """Begin with nothing spent."""
        self._limit = limit
        self._lock = threading.Lock()
        self.requests = self.tokens_in = self.tokens_out = 0

    def take(self) -> bool:
        """Count one more request and return True, or return False if the limit is reached.

        What requests in progress will use is not known: a limit of tokens may be exceeded by as many requests as are in
        progress at a time.
        """
        with self._lock:
            spent = self.requests if self._limit.unit == "requests" else self.tokens_in + self.tokens_out
            if self._limit.amount is not None and spent >= self._limit.amount:
                return False
            self.requests += 1
            return True

    def use(self, tokens_in: int, tokens_out: int) -> None:
        """Count the tokens of a request that was answered."""
        with self._lock:
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out
