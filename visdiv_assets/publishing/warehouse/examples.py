"""SQL examples on the DuckDB file: the files of the folder `examples`, which are part of the package.

A file holds one statement. Its first line is `-- Title: ...` (a question), its second `-- Description: ...`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from visdiv_assets.errors import ConfigError

_TITLE, _DESCRIPTION = "-- Title: ", "-- Description: "


@dataclass(frozen=True)
class Example:
    """A question about a corpus and the SQL statement that answers it.

    Attributes:
        name: name of the file without `.sql`.
        title: the question.
        description: what the answer lists, in one line.
        sql: the statement, without the two comments.
    """

    name: str
    title: str
    description: str
    sql: str


def load_examples() -> list[Example]:
    """Return all examples, sorted by name."""
    folder = files("visdiv_assets.publishing.warehouse") / "examples"
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted(
        (parse_example(entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8")) for entry in found),
        key=lambda example: example.name,
    )


def find_example(name: str) -> Example:
    """Return the example of that name.

    Raises:
        ConfigError: there is none.
    """
    examples = {example.name: example for example in load_examples()}
    if name not in examples:
        raise ConfigError(f"there is no example {name!r}: use one of {', '.join(examples)}")
    return examples[name]


def parse_example(name: str, text: str) -> Example:
    """Split the text of a file into title, description and statement.

    Raises:
        ValueError: a comment is missing.
    """
    title, description, sql = text.split("\n", 2)
    if not title.startswith(_TITLE) or not description.startswith(_DESCRIPTION):
        raise ValueError(f"{name}.sql does not begin with {_TITLE!r} and {_DESCRIPTION!r}")
    return Example(name, title.removeprefix(_TITLE), description.removeprefix(_DESCRIPTION), sql.strip() + "\n")
