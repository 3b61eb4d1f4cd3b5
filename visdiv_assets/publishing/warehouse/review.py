"""People's decisions on pairs of images, and the precision of verification that they measure."""

from __future__ import annotations

from visdiv_assets.duplicates.person_decisions import Decisions
from visdiv_assets.publishing.warehouse.columns import (
    DECISION_TYPE,
    EVIDENCE_TYPE,
    VERDICT_TYPE,
    Column,
    Table,
    View,
    enum,
)
from visdiv_assets.publishing.warehouse.loading import Loader
from visdiv_assets.statistics import ALL, Z

KIND_TYPE = enum("duplicates", "contamination")

REVIEW_DECISIONS = Table(
    "review_decisions",
    "One row per pair of images that a person has decided on (VISDIV_DECISIONS), with the last decision. Positions are "
    "the first ones of the images; NULL if the data no longer have them.",
    (
        Column("image_id_a", "VARCHAR", "The lower image_id of the two."),
        Column("image_id_b", "VARCHAR", "The higher image_id of the two."),
        Column("kind", KIND_TYPE, "What the pair was shown as: duplicates, or contamination by a benchmark."),
        Column(
            "decision",
            DECISION_TYPE,
            "right: one image is a copy of the other. wrong: it is not. unsure: the verdict of verification counts.",
        ),
        Column(
            "pixel_verdict",
            VERDICT_TYPE,
            "Verdict of verification on the pair. NULL: not compared, or neither close nor confirmed.",
        ),
        Column("evidence", EVIDENCE_TYPE, "Evidence of verification, as in close_pairs."),
        Column("confidence", "FLOAT", "Confidence of verification, as in close_pairs."),
        Column("similarity", "FLOAT", "Cosine similarity of the SSCD vectors; NULL if it is not known."),
        Column("sampled", "BOOLEAN", "True if the pair is in the random sample that precision is estimated from."),
        Column("decided_at", "TIMESTAMPTZ", "When it was decided."),
        Column("decided_by", "VARCHAR", "Who decided; NULL if unknown."),
        Column("subset", "VARCHAR", "Subset of the first image; for contamination, of the training image."),
        Column("row", "BIGINT", "Its row in the subset, from 0."),
        Column("image_index", "INTEGER", "Its index in the row, from 0."),
        Column("other_subset", "VARCHAR", "Subset of the other image; NULL for contamination."),
        Column("other_row", "BIGINT", "Its row in the subset, from 0."),
        Column("other_image_index", "INTEGER", "Its index in the row, from 0."),
        Column("benchmark", "VARCHAR", "Benchmark of the other image; NULL for duplicates."),
        Column("benchmark_row", "BIGINT", "Its row in the benchmark, from 0."),
        Column("benchmark_image_index", "INTEGER", "Its index in the row, from 0."),
    ),
)

#: Fills the table from a table `said` of decisions.
DECISIONS_STATEMENT = """
INSERT INTO review_decisions
WITH firsts AS (
    SELECT image_id, first(struct_pack(subset, "row", image_index) ORDER BY subset, "row", image_index) AS p
    FROM images
    WHERE status = 'ok' AND image_id IN (SELECT image_id_a FROM said UNION ALL SELECT image_id_b FROM said)
    GROUP BY image_id
),
copies AS (
    SELECT image_id_a, image_id_b, 'duplicates' AS kind, max(similarity) AS similarity,
        min(pixel_verdict) AS pixel_verdict, arg_min(evidence, pixel_verdict) AS evidence,
        arg_min(confidence, pixel_verdict) AS confidence, NULL AS p, NULL AS b
    FROM close_pairs WHERE decision IS NOT NULL OR image_id_a IN (SELECT image_id_a FROM said) GROUP BY ALL
),
leaks AS (
    SELECT least(image_id, benchmark_image_id) AS image_id_a, greatest(image_id, benchmark_image_id) AS image_id_b,
        'contamination' AS kind, max(similarity) AS similarity, min(pixel_verdict) AS pixel_verdict,
        arg_min(evidence, pixel_verdict) AS evidence, arg_min(confidence, pixel_verdict) AS confidence,
        first(struct_pack(subset, "row", image_index) ORDER BY subset, "row", image_index) AS p,
        first(struct_pack(benchmark, benchmark_row, benchmark_image_index) ORDER BY benchmark, benchmark_row) AS b
    FROM contamination_pairs GROUP BY ALL
),
known AS (SELECT * FROM copies UNION ALL BY NAME SELECT * FROM leaks)
SELECT s.image_id_a, s.image_id_b, s.kind, s.decision, k.pixel_verdict, k.evidence, k.confidence,
    coalesce(k.similarity, s.similarity), s.sampled, s.decided_at, s.decided_by,
    coalesce(k.p.subset, x.p.subset), coalesce(k.p."row", x.p."row"), coalesce(k.p.image_index, x.p.image_index),
    y.p.subset, y.p."row", y.p.image_index, k.b.benchmark, k.b.benchmark_row, k.b.benchmark_image_index
FROM said s
LEFT JOIN known k USING (image_id_a, image_id_b, kind)
LEFT JOIN firsts x ON x.image_id = s.image_id_a
LEFT JOIN firsts y ON y.image_id = s.image_id_b AND s.kind = 'duplicates'
ORDER BY ALL
"""

_N = '("right" + wrong)'
_P = f'("right" / {_N})'


def _bound(sign: str) -> str:
    """Return the SQL of an end of the Wilson interval; see `statistics.wilson_interval`."""
    half = f"{Z} * sqrt({_P} * (1 - {_P}) / {_N} + {Z**2} / (4 * {_N} * {_N}))"
    return f"CASE WHEN {_N} > 0 THEN ({_P} + {Z**2} / (2 * {_N}) {sign} {half}) / (1 + {Z**2} / {_N}) END"


REVIEW_PRECISION = View(
    "review_precision",
    "A view with one row per kind, subset, evidence and basis: the share of right ones among the pairs that "
    "verification confirms and people have judged.",
    (
        Column("kind", KIND_TYPE, "duplicates, or contamination by a benchmark."),
        Column("subset", "VARCHAR", "Subset of one of the two images, or ALL."),
        Column("evidence", "VARCHAR", "Evidence of the pairs, as in close_pairs, or ALL."),
        Column(
            "basis",
            "VARCHAR",
            "sampled: pairs of the random sample that `visdiv review` proposes, from which the precision of all "
            "confirmed pairs is estimated. judged: all judged pairs, among them those that people chose by hand.",
        ),
        Column("judged", "BIGINT", "Confirmed pairs that people have decided on: right + wrong + unsure."),
        Column("right", "BIGINT", "Those judged to be copies."),
        Column("wrong", "BIGINT", "Those judged not to be copies."),
        Column("unsure", "BIGINT", "Those on which people could not decide."),
        Column("precision", "DOUBLE", "right / (right + wrong); NULL without any."),
        Column("precision_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the precision."),
        Column("precision_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the precision."),
    ),
    query=f"""
    WITH confirmed AS (SELECT * FROM review_decisions WHERE pixel_verdict = 'confirmed'),
    by_subset AS (
        SELECT image_id_a, image_id_b, '{ALL}' AS of_subset FROM confirmed
        UNION SELECT image_id_a, image_id_b, subset FROM confirmed WHERE subset IS NOT NULL
        UNION SELECT image_id_a, image_id_b, other_subset FROM confirmed WHERE other_subset IS NOT NULL
    ),
    by_evidence AS (
        SELECT image_id_a, image_id_b, '{ALL}' AS of_evidence FROM confirmed
        UNION SELECT image_id_a, image_id_b, evidence::VARCHAR FROM confirmed
    ),
    counted AS (
        SELECT kind, of_subset AS subset, of_evidence AS evidence, basis, count(*) AS judged,
            count(*) FILTER (decision = 'right') AS "right", count(*) FILTER (decision = 'wrong') AS wrong,
            count(*) FILTER (decision = 'unsure') AS unsure
        FROM confirmed
        JOIN by_subset USING (image_id_a, image_id_b)
        JOIN by_evidence USING (image_id_a, image_id_b)
        JOIN (VALUES ('sampled'), ('judged')) AS bases(basis) ON sampled OR basis = 'judged'
        GROUP BY kind, of_subset, of_evidence, basis
    )
    SELECT kind, subset, evidence, basis, judged, "right", wrong, unsure,
        CASE WHEN {_N} > 0 THEN {_P} END AS "precision", {_bound("-")} AS precision_low, {_bound("+")} AS precision_high
    FROM counted
    """,
)


def fill_review(loader: Loader, decisions: Decisions) -> None:
    """List people's decisions, with what the tables of pairs, which are filled already, say about their pairs."""
    with loader.registered(said=decisions.table):
        loader.connection.execute(DECISIONS_STATEMENT)
    loader.expect(REVIEW_DECISIONS.name, decisions.table.num_rows)
