"""The recorded answers of the SQL examples on the sample.

    python -m visdiv_assets_tests.publishing.warehouse.sql_answers data/local/visdiv.duckdb

records the answers of a DuckDB file that was published from the sample.
"""

import sys
from pathlib import Path

from visdiv_assets.publishing.warehouse.examples import load_examples
from visdiv_assets.publishing.warehouse.query import run_query

ANSWERS = Path(__file__).parent / "answers"


def answer(warehouse: Path, sql: str) -> str:
    """Return what `visdiv query` prints for a statement, without blanks at line ends."""
    return "".join(line.rstrip() + "\n" for line in run_query(warehouse, sql).splitlines())


def answers(warehouse: Path) -> dict[str, str]:
    """Return the answers of all examples, by name."""
    return {example.name: answer(warehouse, example.sql) for example in load_examples()}


def recorded_answers() -> dict[str, str]:
    """Return the recorded answers, by name of the example."""
    return {path.stem: path.read_text(encoding="utf-8") for path in ANSWERS.glob("*.txt")}


def record(warehouse: Path) -> None:
    """Replace all recorded answers by those of a DuckDB file."""
    ANSWERS.mkdir(exist_ok=True)
    for path in ANSWERS.glob("*.txt"):
        path.unlink()
    for name, text in answers(warehouse).items():
        (ANSWERS / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
