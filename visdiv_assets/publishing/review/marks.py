"""What people said of pairs: the file of decisions, and the list of pairs that is filtered by it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from visdiv_assets.duplicates.person_decisions import Decision, append_decision, read_decisions
from visdiv_assets.publishing.review.pair_index import PairIndex
from visdiv_assets.storage.error_messages import read_error

Said = Literal["right", "wrong", "unsure", "withdrawn"]
#: What can be said of a pair.
SAYINGS: tuple[Said, ...] = get_args(Said)


class Marks:
    """Reads and appends to the file of decisions; what others append to it is seen, too. Safe for several threads."""

    def __init__(self, path: Path, index: PairIndex, decided_by: str) -> None:
        """Read the decisions.

        Args:
            path: the file; it need not exist.
            index: is kept up to date.
            decided_by: the person who marks pairs.

        Raises:
            StorageError: the file cannot be read.
        """
        self.path = path
        self._index, self._decided_by = index, decided_by
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the file again if it has changed.

        Raises:
            StorageError: it cannot be read.
        """
        with self._lock:
            now = _state_of(self.path)
            if now != self._seen:
                self._index.set_marks(read_decisions(self.path))
                self._seen = now

    def mark(self, pair: Mapping[str, Any], said: Said, *, sampled: bool) -> None:
        """Save what a person says of a pair; when the function returns, it is on the disk.

        Args:
            pair: as `PairIndex.find` returns it.
            said: right, wrong, unsure, or withdrawn if nothing is said after all.
            sampled: whether the pair was shown as a part of the random sample.

        Raises:
            StorageError: the file cannot be written.
        """
        a, b = sorted(
            [(pair["image_id_a"], pair["position_a"]), (pair["image_id_b"], pair["position_b"])],
            key=lambda side: str(side[0]),
        )
        decision = Decision(
            image_id_a=a[0],
            image_id_b=b[0],
            decision=said,
            decided_at=datetime.now().astimezone(),
            decided_by=self._decided_by,
            kind=pair["kind"],
            subset_a=a[1]["subset"],
            row_a=a[1]["row"],
            image_index_a=a[1]["image_index"],
            subset_b=b[1]["subset"],
            row_b=b[1]["row"],
            image_index_b=b[1]["image_index"],
            verdict=pair["verdict"],
            similarity=pair["similarity"],
            sampled=sampled,
        )
        append_decision(self.path, decision)
        self.refresh()


def _state_of(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does; None if it does not exist.

    Raises:
        StorageError: nobody can say.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise read_error(str(path), error) from error
    return found.st_mtime_ns, found.st_size
