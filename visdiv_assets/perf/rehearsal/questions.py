"""Time the SQL examples on the rehearsal's DuckDB file."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visdiv_assets.publishing.warehouse.examples import load_examples
from visdiv_assets.publishing.warehouse.query import run_query


@dataclass(frozen=True)
class Answered:
    """Time that one example took at one size.

    Attributes:
        question: title of the example.
        images: images of the corpus.
        seconds: time to open the file and run the statement.
    """

    question: str
    images: int
    seconds: float

    def row(self) -> dict[str, Any]:
        """Return it as a row of the JSON file."""
        return asdict(self)


def ask(warehouse: Path, images: int) -> list[Answered]:
    """Run every example once; each run opens the file anew.

    Args:
        warehouse: the DuckDB file.
        images: images of the corpus that it describes.
    """
    answers = []
    for example in load_examples():
        begin = time.perf_counter()
        run_query(warehouse, example.sql)
        answers.append(Answered(example.title, images, time.perf_counter() - begin))
    return answers
