"""What runs in another process: work is opened there once, and what a user can mend comes back as it is."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.engines.interface import Worker
from visdiv_assets.progress import Progress, silent


def outcome(work: bytes, worker: Worker, unit: Any) -> Any:
    """Do one unit of pickled work; what the user can mend is returned, not raised, so that no engine wraps it."""
    try:
        return _opened(work, worker)(unit, silent)
    except VisdivError as error:
        return error


def result_of(returned: Any) -> Any:
    """What `outcome` returned, or raise it if it is an error."""
    if isinstance(returned, VisdivError):
        raise returned
    return returned


@lru_cache(maxsize=1)
def _opened(work: bytes, worker: Worker) -> Callable[[Any, Progress], Any]:
    function: Callable[[Any, Progress], Any] = pickle.loads(work).open(worker)
    return function
