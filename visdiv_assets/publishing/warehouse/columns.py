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
IMAGE_INDEX = Column("image_index", "INTEGER", "Place of the image in its row, from 0.")
IMAGE_ID = Column(
    "image_id",
    "VARCHAR",
    "First 16 bytes of the SHA-256 of the encoded image, in hex; equal for byte-equal images; NULL where a "
    "position holds no bytes.",
)
MODEL_ID = Column("model_id", "VARCHAR", "Model, weights and preprocessing of the vectors; never mixed.")
SIMILARITY = Column("similarity", "FLOAT", "Cosine similarity of the two embeddings.")
NORMALIZED = Column(
    "similarity_normalized",
    "FLOAT",
    "SSCD's normalized score: similarity minus the background similarity; low for images of one template. NULL if "
    "there were too few images to tell.",
)
LOW_INFORMATION = Column("low_information", "BOOLEAN", "Whether one of the two has little in it, as a blank page has.")
THRESHOLD = Column(
    "threshold",
    "DOUBLE",
    "Similarity from which it counts. finevision 0.95, blog 0.93, hf_toolkit 0.90, sscd_paper 0.75.",
)
VERIFIED = Column("verified", "BOOLEAN", "Whether the pixels confirm the pair; NULL: not looked at.")
EVIDENCE = Column("evidence", "VARCHAR", "What the pixels showed; NULL: not looked at.")
VERDICT = (
    Column("reason", "VARCHAR", "Why the pixels did not confirm the pair; empty if they did; NULL: not looked at."),
    Column("overlap", "FLOAT", "Share of the smaller image that the other shows; NULL: not looked at."),
    Column("agreement", "FLOAT", "Share of the textured places of the overlap that agree; NULL: not looked at."),
    Column(
        "transform",
        "FLOAT[]",
        "Row-major 2 x 3 affine map from places in the second image to places in the first, both in units of their "
        "own width and height; empty if none was found.",
    ),
    Column("pdq_distance", "SMALLINT", "Differing bits, of 256, of the PDQ hashes; NULL: PDQ did not find the pair."),
)
MATERIALIZED_AT = Column("materialized_at", "TIMESTAMP", "When it was written, UTC.")
