"""The parts that the assets which compare pixels share: settings, known verdicts, and metadata for the UI."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.pair_verification import SIDES
from visdiv_assets.orchestration.assets.stage import table_preview
from visdiv_assets.orchestration.resources import DecoderResource, LakeResource, SourceResource, VerificationResource
from visdiv_assets.orchestration.work.verify import Pixels, Rule
from visdiv_assets.storage.partition_write import PartitionWrite

CODE_VERSION = "2"


def candidate_settings(verification: VerificationResource) -> dict[str, float]:
    """Return the settings that select candidate pairs, as the manifest records them."""
    return {
        "candidate_floor": verification.candidate_floor,
        "candidates_kept": verification.candidates_kept,
        "pdq_distance": verification.pdq_distance,
    }


def candidate_rule(verification: VerificationResource) -> Rule:
    """Return the settings that select candidate pairs, as units of work take them."""
    return Rule(verification.candidate_floor, verification.candidates_kept, verification.pdq_distance)


def make_pixels(
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    table: str,
    partition: str,
    ids: tuple[str, str] = SIDES,
) -> Pixels:
    """Return where images are fetched from, with the verdicts of an earlier run of the same code.

    Args:
        source: where the images are.
        lake: where they are listed.
        decoder: has the limits of images.
        table: the table that holds the verdicts.
        partition: its partition.
        ids: columns of that table with the image_ids of the two images.
    """
    manifest = lake.open().manifest(table, partition)
    earlier = manifest if manifest and manifest.code_version == CODE_VERSION else None
    return Pixels(lake.in_each_process(), source.in_each_process(), earlier, limits=decoder.limits, ids=ids)


def pairs_digest(pairs: pa.Table) -> str:
    """Return the SHA-256 of the image_ids of pairs, in their order."""
    found = hashlib.sha256()
    for name in SIDES:
        found.update("".join(pairs[name].to_pylist()).encode())
    return found.hexdigest()


def verification_metadata(found: pa.Table, compared: int, write: PartitionWrite) -> dict[str, object]:
    """Return metadata about compared pairs, of which `compared` were compared in this run."""
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
