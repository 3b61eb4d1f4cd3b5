"""The README's questions, asked of the rehearsal's DuckDB file."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from visdiv_assets.errors import VisdivError
from visdiv_assets.publishing.warehouse.query import run_query

_QUESTION = re.compile(r"(?P<asked>[^\n]+\?)[^`]*?```sql\n(?P<sql>[^`]*)```\n\n```text\n", re.DOTALL)


@dataclass(frozen=True)
class Answered:
    """How long an answer took at one size: seconds, with opening the file."""

    question: str
    images: int
    seconds: float

    def row(self) -> dict[str, Any]:
        """The answer as a row of the JSON file."""
        return asdict(self)


def readme() -> str:
    """The README: the file beside the package in a checkout, else what the installation keeps of it."""
    beside = Path(__file__).parents[3] / "README.md"
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    told = metadata("visdiv-assets").json.get("description", "")
    return told if isinstance(told, str) else ""


def questions(text: str) -> dict[str, str]:
    """The statement below each question whose answer is shown, by the question.

    Raises:
        VisdivError: there is none.
    """
    found = {match["asked"]: match["sql"] for match in _QUESTION.finditer(text)}
    if not found:
        raise VisdivError("the README of this installation has no questions: install visdiv-assets again")
    return found


def ask(warehouse: Path, images: int) -> list[Answered]:
    """Ask every question once, each of a file that is opened for it."""
    answers = []
    for question, sql in questions(readme()).items():
        begin = time.perf_counter()
        run_query(warehouse, sql)
        answers.append(Answered(question, images, time.perf_counter() - begin))
    return answers
