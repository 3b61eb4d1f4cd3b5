"""Classes that define the tables of the DuckDB file, and columns that several tables share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from visdiv_assets.duplicates.decided_pairs import PERSON
from visdiv_assets.duplicates.person_decisions import RIGHT, UNSURE, WRONG
from visdiv_assets.duplicates.verify.evidence import KINDS
from visdiv_assets.sources.schema import CRITERIA


@dataclass(frozen=True)
class Column:
    """A column of the DuckDB file.

    Attributes:
        name: its name.
        type: its DuckDB type.
        comment: what it holds.
        stored: name of the lake's column that it is copied from; empty if the names are equal.
        values: values of the lake's column that are published under another name.
    """

    name: str
    type: str
    comment: str
    stored: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def stored_name(self) -> str:
        """The name of the lake's column that it is copied from."""
        return self.stored or self.name

    def expression(self) -> str:
        """Return the SQL expression that makes its value from the lake's column."""
        stored = f'"{self.stored_name}"'
        cases = " ".join(f"WHEN {_quote(old)} THEN {_quote(new)}" for old, new in self.values.items())
        return f"CASE {stored} {cases} ELSE {stored} END" if cases else stored


@dataclass(frozen=True)
class Table:
    """A table or view.

    Attributes:
        name: its name.
        comment: what a row of it is.
        columns: its columns in order.
        key: columns of the primary key; empty: none. DuckDB keeps an index for each key, so only small tables have one.
        references: columns that are foreign keys, and the table to whose primary key each refers.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "TABLE"

    def create_statement(self) -> str:
        """Return the statement that creates it."""
        parts = [f'"{column.name}" {column.type}' for column in self.columns]
        if self.key:
            parts.append(f"PRIMARY KEY ({', '.join(self.key)})")
        parts += [f'FOREIGN KEY ({column}) REFERENCES "{table}"' for column, table in self.references.items()]
        return f'CREATE TABLE "{self.name}" ({", ".join(parts)})'

    def comment_statements(self) -> list[str]:
        """Return the statements that attach the comments."""
        statements = [f'COMMENT ON {self.kind} "{self.name}" IS {_quote(self.comment)}']
        return statements + [
            f'COMMENT ON COLUMN "{self.name}"."{column.name}" IS {_quote(column.comment)}' for column in self.columns
        ]


@dataclass(frozen=True)
class View(Table):
    """A view; a subclass of `Table`.

    Attributes:
        query: the statement whose columns, by name, are those of the view.
    """

    query: str = ""

    kind: ClassVar[str] = "VIEW"

    def create_statement(self) -> str:
        """Return the statement that creates it."""
        columns = ", ".join(f'"{column.name}"' for column in self.columns)
        return f'CREATE VIEW "{self.name}" AS SELECT {columns} FROM ({self.query})'


def enum(*values: str) -> str:
    """Return the DuckDB type of a column that has no other values."""
    return f"ENUM({', '.join(map(_quote, values))})"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


#: Verdicts on a pair of images, in order of precedence where a pair has several.
VERDICT_TYPE = enum("confirmed", "rejected", "undecided")
#: The verdict of the lake's columns `verified` and `evidence` (null: not compared), as SQL.
VERDICT_OF_VERIFIED = (
    "CASE WHEN verified THEN 'confirmed' WHEN NOT verified THEN 'rejected' WHEN evidence IS NOT NULL THEN 'undecided' "
    "END"
)

#: Verdicts say how a copy differs from the original.
EVIDENCE_TYPE = enum(*KINDS, PERSON)
CRITERION_TYPE = enum(*CRITERIA)

SUBSET = Column("subset", "VARCHAR", "Name of the subset.")
#: A small table with a row per subset and something else.
OF_SUBSET = {"subset": "subsets"}
ROW = Column("row", "BIGINT", "Index of the row in its subset, from 0, across the shards in file-name order.")
IMAGE_INDEX = Column("image_index", "INTEGER", "Index of the image in its row, from 0.")
IMAGE_ID = Column(
    "image_id",
    "VARCHAR",
    "First 16 bytes of the SHA-256 of the encoded image, in hex: byte-equal images have the same image_id. NULL if the "
    "position holds no bytes.",
)
MODEL_ID = Column(
    "model_id",
    "VARCHAR",
    "Model, weights and preprocessing of the vectors. Vectors with different model_ids are not comparable.",
)
SIMILARITY = Column("similarity", "FLOAT", "Cosine similarity of the SSCD vectors of the two images.")
NORMALIZED = Column(
    "similarity_normalized",
    "FLOAT",
    "SSCD's normalized score: similarity minus the background similarity. It is low for images of one template. NULL "
    "if there were too few images to compute it.",
)
LOW_INFORMATION = Column(
    "low_information", "BOOLEAN", "True if one of the two images has little content, such as a blank page."
)
THRESHOLD = Column(
    "threshold",
    "DOUBLE",
    "Minimum similarity. Named thresholds: finevision 0.95, blog 0.93, hf_toolkit 0.90, sscd_paper 0.75.",
)
RULE_TYPE = enum("confirmed", "similarity")
#: The lake calls the rule by the name of its column.
RULE_VALUES = {"verified": "confirmed"}
VERDICT = Column(
    "verdict",
    VERDICT_TYPE,
    "What counts: a person's decision, if there is one, else the result of comparing the pixels of the two images. "
    "confirmed: one is a copy of the other. rejected: they are different images. undecided: the pixels do not tell. "
    "NULL: not compared.",
)
#: What people decide on a pair.
DECISION_TYPE = enum(RIGHT, WRONG, UNSURE)
#: The verdict that counts, of a person's decision and the verdict of verification, as SQL.
VERDICT_OF_DECISION = "CASE decision WHEN 'right' THEN 'confirmed' WHEN 'wrong' THEN 'rejected' ELSE pixel_verdict END"
#: The evidence, with that of pairs that only a person confirms.
EVIDENCE_OF_DECISION = (
    f"CASE WHEN decision = '{RIGHT}' AND pixel_verdict IS DISTINCT FROM 'confirmed' THEN '{PERSON}' ELSE evidence END"
)
#: A person's decision, and the verdict that it may have changed.
DECIDED = (
    Column(
        "decision",
        DECISION_TYPE,
        "A person's decision that the runs obeyed (VISDIV_DECISIONS): right or wrong. NULL: none.",
    ),
    Column("pixel_verdict", VERDICT_TYPE, "The verdict of verification, whatever people decided. NULL: not compared."),
)
CONFIDENCE = Column(
    "confidence",
    "FLOAT",
    "Estimated probability that one image is a copy of the other, 0 to 1. NULL: not compared or not estimated.",
)
EVIDENCE = Column(
    "evidence",
    EVIDENCE_TYPE,
    "How the copy differs from the original, such as identical_pixels, cropped or recolored; unconfirmed if "
    "verification does not confirm the pair; person if only a person does. NULL: not compared.",
)
#: Verdict on an image and the one that it is dropped for.
DECIDING_PAIR = (
    Column(
        "confidence",
        "FLOAT",
        "Estimated probability that the two images are copies, 0 to 1; 1 if they are byte-equal. NULL if it was not "
        "estimated, or with VISDIV_COPIES_BY=similarity.",
    ),
    Column(
        "evidence",
        EVIDENCE_TYPE,
        "How the two images differ, as in close_pairs; identical_pixels if they are byte-equal. NULL with "
        "VISDIV_COPIES_BY=similarity.",
    ),
)
EXPLANATION = (
    Column("reason", "VARCHAR", "Why the pair is rejected or undecided; empty if confirmed. NULL: not compared."),
    Column("overlap", "FLOAT", "Share of the smaller image that the other one shows. NULL: not compared."),
    Column("agreement", "FLOAT", "Share of the textured regions of the overlap that agree. NULL: not compared."),
    Column(
        "transform",
        "JSON",
        "Map from coordinates in the second image to coordinates in the first, both in units of the image's own width "
        "and height, as a list of numbers row by row: a 2 x 3 matrix if affine, 3 x 3 if a homography. Empty if none "
        "was found. NULL: not compared.",
    ),
    Column(
        "pdq_distance",
        "SMALLINT",
        "Number of differing bits, of 256, of the PDQ hashes, or of one and that of the other's negative. NULL: PDQ "
        "did not propose the pair.",
    ),
)
MATERIALIZED_AT = Column("materialized_at", "TIMESTAMP WITH TIME ZONE", "When it was written.")
