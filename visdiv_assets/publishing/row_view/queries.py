"""Queries for one row of the published DuckDB file. The parameter `image` is -1 for all images of the row."""

from __future__ import annotations

#: Maximum close pairs that are listed.
PAIRS_SHOWN = 200

SUBSETS = 'SELECT subset, "rows" FROM subsets ORDER BY subset'

IMAGES = """
SELECT * EXCLUDE (subset, "row") FROM images
WHERE subset = $subset AND "row" = $row AND ($image < 0 OR image_index = $image) ORDER BY image_index
"""

#: Subsets that were added since the last decision have none.
DECIDED = 'SELECT 1 FROM "rows" WHERE subset = $subset AND "row" = $row AND kept IS NOT NULL'

DROPPED = """
SELECT d.* EXCLUDE (subset, "row", file, row_in_file, path),
    i.file AS witness_file, i.row_in_file AS witness_row_in_file, i.path AS witness_path
FROM dropped_rows d LEFT JOIN images i ON d.witness_kind = 'subset' AND i.subset = d.witness
    AND i."row" = d.witness_row AND i.image_index = d.witness_image_index
WHERE d.subset = $subset AND d."row" = $row
"""

COPIES = """
SELECT * EXCLUDE (subset, "row") FROM duplicate_clusters
WHERE subset = $subset AND "row" = $row AND ($image < 0 OR image_index = $image) ORDER BY image_index
"""

_PAIR = "similarity, verdict, confidence, evidence, reason, overlap, agreement"

PAIRS = f"""
WITH own AS (
    SELECT image_index, image_id FROM images
    WHERE subset = $subset AND "row" = $row AND status = 'ok' AND ($image < 0 OR image_index = $image)
), found AS (
    SELECT o.image_index, p.image_id_b AS other, {_PAIR} FROM close_pairs p JOIN own o ON o.image_id = p.image_id_a
    UNION ALL
    SELECT o.image_index, p.image_id_a, {_PAIR} FROM close_pairs p JOIN own o ON o.image_id = p.image_id_b
    UNION ALL
    SELECT image_index, image_id, 1, 'confirmed', 1, 'identical_pixels', '', 1, 1 FROM own
)
SELECT f.image_index, i.subset, i."row", i.image_index AS other_image_index, i.file, i.row_in_file, i.path, i.image_id,
    f.* EXCLUDE (image_index, other), count(*) OVER () AS total
FROM found f JOIN images i ON i.image_id = f.other
WHERE i.status = 'ok' AND NOT (i.subset = $subset AND i."row" = $row AND i.image_index = f.image_index)
ORDER BY f.verdict NULLS LAST, f.similarity DESC, i.subset, i."row", i.image_index LIMIT {PAIRS_SHOWN}
"""

LEAKS = f"""
SELECT image_index, benchmark, benchmark_row, benchmark_image_index, benchmark_image_id, {_PAIR}
FROM contamination_pairs WHERE subset = $subset AND "row" = $row AND ($image < 0 OR image_index = $image)
ORDER BY verdict NULLS LAST, similarity DESC, benchmark, benchmark_row LIMIT {PAIRS_SHOWN}
"""

#: A benchmark image that occurs several times is listed at its first position.
LEAKED_TO = f"""
SELECT benchmark_image_index AS image_index, subset, "row", image_index AS other_image_index, image_id, {_PAIR}
FROM contamination_pairs
WHERE benchmark = $benchmark AND benchmark_row = $row AND ($image < 0 OR benchmark_image_index = $image)
ORDER BY verdict NULLS LAST, similarity DESC, subset, "row" LIMIT {PAIRS_SHOWN}
"""

TEXTS = """
SELECT * EXCLUDE (subset, "row") FROM text_overlaps WHERE subset = $subset AND "row" = $row
ORDER BY longest_match DESC, turn, side, benchmark, ngram_size DESC
"""

#: Queries for the scores of a row, by table.
SCORES = {
    table: f'SELECT * EXCLUDE (subset, "row") FROM {table} WHERE subset = $subset AND "row" = $row'
    for table in ("alignment", "selection_scores")
}
