"""What the assets that compare pixels share: how work is set up, verdicts known before, what the UI shows."""

import hashlib
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.images import LOCATED_SCHEMA
from visdiv_assets.duplicates.candidates import CandidateRule
from visdiv_assets.duplicates.pair_verification import SIDES
from visdiv_assets.duplicates.verify import VERIFY_VERSION
from visdiv_assets.duplicates.verify_pairs import VERDICT_FIELDS, VERDICT_SCHEMA
from visdiv_assets.orchestration.assets.common import table_preview
from visdiv_assets.orchestration.resources import DecoderResource, LakeResource, SourceResource, VerificationResource
from visdiv_assets.orchestration.work.verify import Pixels
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import PartitionWrite

#: The version of the verified tables: verdicts of another version are computed again.
CODE_VERSION = VERIFY_VERSION

LEAKS_SCHEMA = pa.schema([*LOCATED_SCHEMA, ("pdq_distance", pa.int16()), *VERDICT_FIELDS])


def candidate_settings(verification: VerificationResource) -> dict[str, float]:
    """The settings that decide which pairs are compared."""
    return {
        "candidate_floor": verification.candidate_floor,
        "candidates_kept": verification.candidates_kept,
        "pdq_distance": verification.pdq_distance,
    }


def candidate_rule(verification: VerificationResource) -> CandidateRule:
    """The same, as work takes it."""
    return CandidateRule(verification.candidate_floor, verification.candidates_kept, verification.pdq_distance)


def make_pixels(
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    table: str,
    partition: str,
    ids: tuple[str, str] = SIDES,
) -> Pixels:
    """Where images are compared, and the verdicts of an earlier run of the same code.

    Args:
        source: where the images are.
        lake: where they are listed.
        decoder: says what an image may have at most.
        table: the table that holds the verdicts.
        partition: its partition.
        ids: the columns of the two images' image_ids there.
    """
    manifest = lake.open().manifest(table, partition)
    earlier = manifest if manifest and manifest.code_version == CODE_VERSION else None
    return Pixels(lake.in_each_process(), source.in_each_process(), earlier, limits=decoder.limits, ids=ids)


def pairs_digest(pairs: pa.Table) -> str:
    """SHA-256 of the image_ids of pairs, in their order."""
    found = hashlib.sha256()
    for name in SIDES:
        found.update("".join(pairs[name].to_pylist()).encode())
    return found.hexdigest()


def located_pairs(pairs: pa.Table, locate: Callable[[pa.Table, Manifest], pa.Table], listed: Manifest) -> pa.Table:
    """Compared pairs of a subset and a benchmark with the benchmark's positions: table of `LEAKS_SCHEMA`."""
    named = pairs.rename_columns({"image_id_a": "image_id", "image_id_b": "benchmark_image_id"})
    rest = [pairs[name] for name in ("pdq_distance", *VERDICT_SCHEMA.names)]
    return pa.table([*locate(named, listed).columns, *rest], schema=LEAKS_SCHEMA)


def verification_metadata(found: pa.Table, compared: int, write: PartitionWrite) -> dict[str, object]:
    """What the UI shows of compared pairs, of which `compared` were compared in this run."""
    by_evidence = found.group_by(["evidence", "reason"]).aggregate([([], "count_all")])
    order = [("count_all", "descending"), ("evidence", "ascending"), ("reason", "ascending")]
    return {
        "dagster/partition_row_count": found.num_rows,
        "pairs_compared": compared,
        "pairs_reused": found.num_rows - compared,
        "pairs_confirmed": int(pc.sum(found["verified"]).as_py() or 0),
        "evidence": table_preview(by_evidence.sort_by(order)),
        "units_reused": write.reused,
    }
