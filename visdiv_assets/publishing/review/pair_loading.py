"""Load the compared pairs of a lake into a temporary database, from which the page reads slices."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.errors import NotMaterializedError
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Kinds of pairs: of two images of subsets, and of an image of a subset and one of a benchmark.
DUPLICATES, CONTAMINATION = KINDS = ("duplicates", "contamination")

_VERDICT = ("similarity", "verified", "confidence", "evidence", "reason", "transform", "overlap", "agreement")
_LEAK = ("image_id", "benchmark_image_id", "benchmark", "benchmark_row", "benchmark_image")

_CREATE = """
CREATE TABLE found (
    kind VARCHAR, image_id_a VARCHAR, image_id_b VARCHAR, subset VARCHAR, benchmark VARCHAR, benchmark_row BIGINT,
    benchmark_image INTEGER, similarity FLOAT, verified BOOLEAN, confidence FLOAT, evidence VARCHAR, reason VARCHAR,
    transform FLOAT[], overlap FLOAT, agreement FLOAT
);
CREATE TABLE positions (subset VARCHAR, image_id VARCHAR, "row" BIGINT, image_index INTEGER);
"""

_POSITIONS = """
INSERT INTO positions
SELECT ?, image_id, (first).r, (first).i
FROM (
    SELECT image_id, min({'r': "row", 'i': image_index}) AS first
    FROM listed SEMI JOIN wanted USING (image_id)
    WHERE status = 'ok'
    GROUP BY image_id
)
"""

#: A pair is listed once, however many subsets and benchmarks hold its images. Its left image is the earlier one by
#: position, or that of the subset where the other one is of a benchmark. Undecided pairs come first, then those on
#: which verification is least sure.
_PAIRS = """
CREATE TABLE pairs AS
WITH first AS (
    SELECT image_id, min({'subset': subset, 'row': "row", 'image_index': image_index}) AS position,
           list(DISTINCT subset) AS subsets
    FROM positions GROUP BY image_id
), located AS (
    SELECT f.*, {'subset': f.subset, 'row': x."row", 'image_index': x.image_index} AS position_a,
           {'subset': f.subset, 'row': y."row", 'image_index': y.image_index} AS position_b, [f.subset] AS subsets,
           []::VARCHAR[] AS benchmarks
    FROM found f
    JOIN positions x ON x.subset = f.subset AND x.image_id = f.image_id_a
    JOIN positions y ON y.subset = f.subset AND y.image_id = f.image_id_b
    WHERE f.kind = 'duplicates' AND f.subset IS NOT NULL
  UNION ALL
    SELECT f.*, x.position, y.position, list_distinct(x.subsets || y.subsets), []
    FROM found f JOIN first x ON x.image_id = f.image_id_a JOIN first y ON y.image_id = f.image_id_b
    WHERE f.kind = 'duplicates' AND f.subset IS NULL
  UNION ALL
    SELECT f.*, {'subset': f.subset, 'row': x."row", 'image_index': x.image_index},
           {'subset': f.benchmark, 'row': f.benchmark_row, 'image_index': f.benchmark_image}, [f.subset], [f.benchmark]
    FROM found f JOIN positions x ON x.subset = f.subset AND x.image_id = f.image_id_a
    WHERE f.kind = 'contamination'
), each_once AS (
    SELECT kind, image_id_a, image_id_b, list_sort(list_distinct(flatten(list(subsets)))) AS subsets,
           list_sort(list_distinct(flatten(list(benchmarks)))) AS benchmarks,
           arg_min(l, (position_a, position_b)) AS best
    FROM located l GROUP BY kind, image_id_a, image_id_b
), judged AS (
    SELECT kind, image_id_a, image_id_b, subsets, benchmarks, best.position_a, best.position_b,
           kind = 'duplicates' AND best.position_b < best.position_a AS swapped, best.similarity,
           CASE WHEN best.verified IS NULL THEN 'undecided' WHEN best.verified THEN 'confirmed' ELSE 'rejected' END
               AS verdict,
           best.confidence, best.evidence, best.reason, best.transform, best.overlap, best.agreement
    FROM each_once
)
SELECT row_number() OVER (
           ORDER BY kind DESC, list_position(['undecided', 'confirmed', 'rejected'], verdict),
                    CASE verdict WHEN 'confirmed' THEN confidence ELSE -confidence END,
                    similarity, image_id_a, image_id_b
       ) AS number,
       *,
       CASE verdict WHEN 'confirmed' THEN evidence ELSE coalesce(nullif(reason, ''), evidence) END AS shown,
       least(image_id_a, image_id_b) || ' ' || greatest(image_id_a, image_id_b) AS pair_key
FROM judged ORDER BY number
"""


def load_pairs(lake: Lake, connection: DuckDBPyConnection) -> int:
    """Create the table `pairs` of all compared pairs of a lake, and return their number.

    Its columns are number (from 1, in the order of review), kind, image_id_a, image_id_b, subsets and benchmarks (all
    that hold them, as lists), position_a and position_b (structs of subset, row and image_index; of a benchmark for
    position_b of contamination), swapped (whether b is shown on the left), similarity, verdict, confidence, evidence,
    reason, transform, overlap, agreement, shown (the evidence of a confirmed pair, the reason of another), and pair_key
    (both image_ids, the lower one first).

    Args:
        lake: holds the pairs, and the lists of images.
        connection: a database without these tables.

    Raises:
        NotMaterializedError: no pairs were ever compared.
    """
    connection.execute(_CREATE)
    compared = False
    for subset in lake.partitions(LakeTable.VERIFIED_DUPLICATES):
        compared = True
        manifest = lake.require(LakeTable.VERIFIED_DUPLICATES, subset)
        _add(lake, connection, manifest, DUPLICATES, subset, SIDES)
    across = lake.manifest(LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION)
    if across is not None:
        compared = True
        _add(lake, connection, across, DUPLICATES, None, SIDES)
    for subset in lake.partitions(LakeTable.VERIFIED_CONTAMINATION):
        compared = True
        manifest = lake.require(LakeTable.VERIFIED_CONTAMINATION, subset)
        _add(lake, connection, manifest, CONTAMINATION, subset, _LEAK)
    if not compared:
        raise NotMaterializedError(LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION)
    connection.execute(
        "CREATE TABLE wanted AS SELECT image_id_a AS image_id FROM found "
        "UNION SELECT image_id_b FROM found WHERE kind = 'duplicates'"
    )
    for subset in lake.partitions(LakeTable.SUBSET_IMAGES):
        _add_positions(lake, connection, subset)
    connection.execute(_PAIRS)
    connection.execute("DROP TABLE found; DROP TABLE wanted; DROP TABLE positions")
    (count,) = connection.execute("SELECT count(*) FROM pairs").fetchall()[0]
    return int(count)


def _add(
    lake: Lake, connection: DuckDBPyConnection, manifest: Manifest, kind: str, subset: str | None, ids: tuple[str, ...]
) -> None:
    """Add the compared pairs of a partition to the table `found`."""
    if not manifest.files("pairs"):
        return
    stored = lake.dataset(manifest, "pairs")
    names = [name if name in stored.schema.names else f"NULL AS {name}" for name in _VERDICT]
    benchmark = ids[2:] or ("NULL", "NULL", "NULL")
    connection.register("batches", stored.scanner().to_reader())
    connection.execute(
        f"INSERT INTO found SELECT ?, {ids[0]}, {ids[1]}, ?, {', '.join((*benchmark, *names))} "
        "FROM batches WHERE evidence IS NOT NULL",
        [kind, subset],
    )
    connection.unregister("batches")


def _add_positions(lake: Lake, connection: DuckDBPyConnection, subset: str) -> None:
    """Add the first position of each wanted image of a subset to the table `positions`."""
    images = lake.require(LakeTable.SUBSET_IMAGES, subset)
    if not images.files("rows"):
        return
    columns = ["image_id", "row", "image_index", "status"]
    connection.register("listed", lake.dataset(images).scanner(columns=columns).to_reader())
    connection.execute(_POSITIONS, [subset])
    connection.unregister("listed")
