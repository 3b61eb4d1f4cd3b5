"""Fill the tables of pairs of images: close pairs, and pairs with images of benchmarks."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.positions import DECIDED_LEAKS_SCHEMA, LEAK_IDS
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.duplicates.decided_pairs import DECIDED as DECIDED_ROLE
from visdiv_assets.duplicates.decided_pairs import read_decided
from visdiv_assets.duplicates.pair_verification import read_pairs
from visdiv_assets.publishing.warehouse.columns import (
    EVIDENCE_OF_DECISION,
    VERDICT_OF_DECISION,
    VERDICT_OF_VERIFIED,
    VERDICT_TYPE,
)
from visdiv_assets.publishing.warehouse.loading import Loader
from visdiv_assets.storage.manifest import Manifest

#: Columns of the lake that verification adds to a pair, and their types.
_VERDICT = ("verified", "confidence", "evidence", "reason", "overlap", "agreement", "transform", "pdq_distance")
_VERDICT_TYPES = ("BOOLEAN", "FLOAT", "VARCHAR", "VARCHAR", "FLOAT", "FLOAT", "FLOAT[]", "SMALLINT")


def fill_contamination_pairs(loader: Loader, images: Manifest, contamination: Manifest) -> None:
    """List the pairs of images at every position of the subset's image."""
    verified = loader.lake.manifest(LakeTable.VERIFIED_CONTAMINATION, images.partition)
    found = loader.lake.read(contamination, "pairs")
    if verified and verified.files("pairs"):
        compared = read_pairs(loader.lake, verified, [*found.schema.names, *_VERDICT])
    else:
        compared = found.slice(0, 0)
        for name in _VERDICT:
            compared = compared.append_column(name, pa.array([], pa.null()))
    decided = DECIDED_LEAKS_SCHEMA.empty_table()
    if verified:
        decided = read_decided(loader.lake, verified, DECIDED_LEAKS_SCHEMA)
    parameters = {"subset": images.partition, "model_id": contamination.model_id}
    with loader.registered(listed=loader.stream(images, "rows"), found=found, compared=compared, decided=decided):
        loader.connection.execute(
            f"""CREATE TEMP TABLE contaminated AS
            SELECT {_either("fcd", found.schema.names)}, {", ".join(f"c.{name}" for name in _VERDICT)}, d.decision,
                {VERDICT_OF_VERIFIED} AS pixel_verdict
            FROM found f FULL JOIN compared c USING (image_id, benchmark, benchmark_image_id)
                FULL JOIN decided d USING (image_id, benchmark, benchmark_image_id)
            WHERE f.image_id IS NOT NULL OR c.verified OR d.decision IS NOT NULL"""
        )
        loader.connection.execute(
            f"""INSERT INTO contamination_pairs
            SELECT $subset, i."row", i.image_index, p.image_id, p.benchmark, p.benchmark_row, p.benchmark_image,
                p.similarity, {VERDICT_OF_DECISION}, p.confidence, {EVIDENCE_OF_DECISION}, p.similarity_normalized,
                p.low_information, p.benchmark_image_id, p.benchmark_positions, $model_id,
                {_explanation("p")}, decision, pixel_verdict
            FROM contaminated p JOIN listed i ON i.image_id = p.image_id AND i.status = 'ok'
            ORDER BY i."row", i.image_index, p.benchmark, p.benchmark_row, p.benchmark_image""",
            parameters,
        )
    # Counted in the lake, not in what was just written, so that a lost pair makes the counts differ.
    key = list(LEAK_IDS)
    confirmed = compared.filter(pc.equal(compared["verified"], True))
    pairs = pa.concat_tables([table.select(key) for table in (found, confirmed, decided)]).group_by(key).aggregate([])
    listed = loader.lake.read(images, columns=["image_id", "status"]).filter(pc.field("status") == "ok")
    loader.expect("contamination_pairs", pairs.join(listed, "image_id", join_type="inner").num_rows)
    loader.connection.execute("DROP TABLE contaminated")


def fill_close_pairs(loader: Loader, subsets: list[str]) -> None:
    """List pairs within and between subsets; a pair found in several partitions is listed once.

    Compared pairs under the similarity floor are listed only if they are confirmed, or a person decided on them.
    """
    verdict = ", ".join(f"{name} {kind}" for name, kind in zip(_VERDICT, _VERDICT_TYPES, strict=True))
    loader.connection.execute(
        f"""CREATE TEMP TABLE found (image_id_a VARCHAR, image_id_b VARCHAR, similarity FLOAT,
        similarity_normalized FLOAT, model_id VARCHAR, decision VARCHAR, {verdict})"""
    )
    close = [loader.lake.manifest(LakeTable.NEAR_DUPLICATES, subset) for subset in subsets]
    close.append(loader.lake.manifest(LakeTable.CROSS_SUBSET_DUPLICATES, CORPUS_PARTITION))
    compared = [loader.lake.manifest(LakeTable.VERIFIED_DUPLICATES, subset) for subset in subsets]
    compared.append(loader.lake.manifest(LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION))
    stored = 0
    for manifests, role, columns in (
        (close, "pairs", ("similarity_normalized",)),
        (compared, "pairs", _VERDICT),
        (compared, DECIDED_ROLE, ("decision",)),
    ):
        for manifest in manifests:
            if manifest and manifest.files(role):
                pairs = loader.stream(manifest, role)
                # Tables of older versions have no confidence.
                filled = ", ".join(name for name in columns if name in pairs.schema.names)
                with loader.registered(pairs=pairs):
                    loader.connection.execute(
                        f"""INSERT INTO found (image_id_a, image_id_b, similarity, model_id, {filled})
                        SELECT image_id_a, image_id_b, similarity, $model_id, {filled} FROM pairs""",
                        {"model_id": manifest.model_id},
                    )
                stored += manifest.rows(role)
    # Of the verdicts of several subsets, the first in the order of the type counts; of these, the most confident.
    rank = "enum_code(verdict) * 2 - coalesce(confidence, 0)"
    fields = ", ".join(f"{name} := {name}" for name in _VERDICT[1:])
    loader.connection.execute(
        f"""INSERT INTO close_pairs
        WITH flagged AS (SELECT DISTINCT image_id FROM images WHERE low_information),
        judged AS (SELECT *, ({VERDICT_OF_VERIFIED})::{VERDICT_TYPE} AS verdict FROM found),
        pairs AS (
            SELECT image_id_a, image_id_b, model_id, max(similarity) AS similarity, min(verdict) AS pixel_verdict,
                max(decision) AS decision, max(similarity_normalized) AS normalized,
                arg_min(struct_pack({fields}), {rank}) AS v
            FROM judged GROUP BY image_id_a, image_id_b, model_id
            HAVING bool_or(verdict IS NULL) OR bool_or(verified)
        )
        SELECT image_id_a, image_id_b, similarity, model_id, {VERDICT_OF_DECISION}, v.confidence,
            {EVIDENCE_OF_DECISION}, normalized, image_id_a IN (FROM flagged) OR image_id_b IN (FROM flagged),
            {_explanation("v")}, decision, pixel_verdict
        FROM (SELECT *, v.evidence AS evidence FROM pairs) ORDER BY model_id, image_id_a, image_id_b"""
    )
    row = loader.connection.execute(
        """SELECT (SELECT count(*) FROM (SELECT DISTINCT image_id_a, image_id_b, model_id FROM found
                WHERE verified OR (verified IS NULL AND evidence IS NULL))),
            (SELECT count(*) FROM found)"""
    ).fetchone()
    different, arrived = row or (0, 0)
    # A pair that was lost between the lake and `found` makes the count differ from the published one.
    loader.expect("close_pairs", different + stored - arrived)
    loader.connection.execute("DROP TABLE found")


def _either(sides: str, names: list[str]) -> str:
    """Return the columns of full joins, each from the first side that has the row; a letter names a side."""
    return ", ".join(f"coalesce({', '.join(f'{side}.{name}' for side in sides)}) AS {name}" for name in names)


def _explanation(alias: str) -> str:
    """Return the columns of a verdict after its evidence, as they are published."""
    return ", ".join(f"to_json({alias}.{name})" if name == "transform" else f"{alias}.{name}" for name in _VERDICT[3:])
