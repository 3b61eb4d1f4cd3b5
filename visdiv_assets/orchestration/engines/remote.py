"""The part of engines that runs in another process: it opens work once, and returns errors that a user can fix."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.engines.interface import Worker
from visdiv_assets.progress import Progress, silent


def outcome(work: bytes, worker: Worker, unit: Any) -> Any:
    """Run one unit of pickled work; return a `VisdivError` instead of raising it, so that no engine wraps it."""
    try:
        return _open_work(work, worker)(unit, silent)
    except VisdivError as error:
        return error


def result_of(returned: Any) -> Any:
    """Return the result from `outcome`; raise it if it is an error."""
    if isinstance(returned, VisdivError):
        raise returned
    return returned


@lru_cache(maxsize=1)
def _open_work(work: bytes, worker: Worker) -> Callable[[Any, Progress], Any]:
    function: Callable[[Any, Progress], Any] = pickle.loads(work).open(worker)
    return function
