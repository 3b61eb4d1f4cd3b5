"""The questions of the README and their answers.

    python -m visdiv_assets_tests.testing.readme data/local/visdiv.duckdb

writes the answers of a warehouse into the README.
"""

import re
import sys
from pathlib import Path

from visdiv_assets.publishing.warehouse.query import run_query

README = Path(__file__).parents[2] / "README.md"

_QUESTION = re.compile(r"```sql\n(?P<sql>.*?)```\n\n```text\n(?P<answer>.*?)```\n", re.DOTALL)


def questions() -> list[tuple[str, str]]:
    """Each SQL statement with the answer below it."""
    return [(match["sql"], match["answer"]) for match in _QUESTION.finditer(README.read_text(encoding="utf-8"))]


def answer(warehouse: Path, sql: str) -> str:
    """What the README shows for a statement."""
    lines = run_query(warehouse, sql).splitlines()
    return "".join(line.rstrip() + "\n" for line in lines)


def write_answers(warehouse: Path) -> None:
    """Replace all answers by those of a warehouse."""
    text = _QUESTION.sub(
        lambda match: f"```sql\n{match['sql']}```\n\n```text\n{answer(warehouse, match['sql'])}```\n",
        README.read_text(encoding="utf-8"),
    )
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_answers(Path(sys.argv[1]))
