"""What the definitions of the warehouse's tables are made of, and columns that many tables have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: its name, DuckDB type, and what it holds."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    """A table or view: what a row is, and its columns in order."""

    name: str
    comment: str
    columns: tuple[Column, ...]

    def create_statement(self) -> str:
        """The statement that creates it as a table."""
        columns = ", ".join(f'"{column.name}" {column.type}' for column in self.columns)
        return f'CREATE TABLE "{self.name}" ({columns})'

    def comment_statements(self, kind: str = "TABLE") -> list[str]:
        """The statements that attach the comments; `kind` is TABLE or VIEW."""
        statements = [f'COMMENT ON {kind} "{self.name}" IS {_quoted(self.comment)}']
        return statements + [
            f'COMMENT ON COLUMN "{self.name}"."{column.name}" IS {_quoted(column.comment)}' for column in self.columns
        ]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


SUBSET = Column("subset", "VARCHAR", "Name of the subset, as published.")
ROW = Column("row", "BIGINT", "Row of the subset, from 0 across its shards in file-name order.")
IMAGE_INDEX = Column("image_index", "INTEGER", "Place of the picture in its row, from 0.")
IMAGE_ID = Column(
    "image_id",
    "VARCHAR",
    "First 16 bytes of the SHA-256 of the encoded picture, in hex; equal for byte-equal pictures; NULL where a "
    "position holds no bytes.",
)
MODEL_ID = Column("model_id", "VARCHAR", "Model, weights and preprocessing of the vectors; never mixed.")
