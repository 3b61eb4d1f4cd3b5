"""What assets that need CLIP do without weights: they are materialized with the reason, and leave the lake as it is.

A skipped asset would count as missing in Dagster, and a backfill that contains it as failed.
"""

import dagster as dg

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.errors import NotMaterializedError, StaleError
from visdiv_assets.orchestration.assets.stage import Stage
from visdiv_assets.orchestration.resources import ClipResource
from visdiv_assets.storage.lake import Lake

#: Tag of a run in which assets were left out; its value says why.
LEFT_OUT_TAG = "visdiv/left_out"
LEFT_OUT = "no CLIP weights"

#: Version of the data of an asset of which nothing is stored.
_NO_DATA = dg.DataVersion("none")


def missing_vectors(run: Stage, clip: ClipResource, *tables: str) -> str:
    """Return why CLIP vectors are missing that cannot be made either; empty if they are stored, or could be.

    Args:
        run: a run of a stage that reads them.
        clip: the CLIP embedders.
        tables: the tables that it reads; they must be those of the present list of images.

    Raises:
        ModelError: VISDIV_CLIP_MODEL is invalid.
    """
    try:
        images = run.require(LakeTable.SUBSET_IMAGES)
        for table in tables:
            run.current_embeddings(images, table)
    except (NotMaterializedError, StaleError):
        return clip.missing_weights()
    return ""


def leave_out(context: dg.AssetExecutionContext, lake: Lake, asset: str, reason: str) -> dg.MaterializeResult:
    """Return the result of an asset that makes nothing, with the reason; results of an earlier run stay stored.

    The checks of the asset pass, since there is nothing to check.
    """
    context.log.info(f"{asset} makes nothing: {reason}")
    context.instance.add_run_tags(context.run.run_id, {LEFT_OUT_TAG: LEFT_OUT})
    stored = lake.earlier(asset, context.partition_key)
    key = dg.AssetKey(asset)
    checks = [check.name for check in context.op_execution_context.selected_asset_check_keys if check.asset_key == key]
    return dg.MaterializeResult(
        asset_key=key,
        data_version=dg.DataVersion(stored.digest) if stored else _NO_DATA,
        metadata={"made_nothing": reason, "stored_by_an_earlier_run": stored is not None},
        check_results=[
            dg.AssetCheckResult(check_name=name, asset_key=key, passed=True, metadata={"not_checked": reason})
            for name in sorted(checks)
        ],
    )
