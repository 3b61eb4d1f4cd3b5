"""Images decoded in another way: everything that is made from their pixels is made again, and never mixed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visdiv_assets import embedding
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.errors import ConfigError
from visdiv_assets.imaging.identity import image_id
from visdiv_assets_tests.conftest import Pipeline, Row, image, near_copy, png, shapes

PASS = [LakeTable.SUBSET_IMAGES, LakeTable.SUBSET_FEATURES, LakeTable.SUBSET_THUMBNAILS, LakeTable.SSCD_EMBEDDINGS]


def see_through() -> bytes:
    """Shapes on a transparent ground, whose color is black."""
    drawing = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    drawing.paste(shapes(1).crop((16, 16, 48, 48)), (16, 16))
    return png(drawing)


def made(pipeline: Pipeline) -> dict[str, Any]:
    """Run the pass, and return what it stored by table."""
    ran = pipeline.run("some", only=PASS)
    assert ran.success, ran.failures
    return {table: pipeline.lake.require(table, "some") for table in PASS}


def stored_vector(pipeline: Pipeline, data: bytes) -> np.ndarray:
    """Return the vector of an image, float32 [512]."""
    manifest = pipeline.lake.require(LakeTable.SSCD_EMBEDDINGS, "some")
    ids = pipeline.lake.read(manifest, "ids")["image_id"].to_pylist()
    row = np.array([ids.index(image_id(data))])
    found: np.ndarray = pipeline.lake.array(manifest, "vectors")[row].astype(np.float32)[0]
    return found


def test_another_decoding_makes_vectors_and_features_again(pipeline: Pipeline) -> None:
    truncated = image(2)[:-200]
    pipeline.write("some", [Row([see_through(), truncated]), Row([image(3)])])
    before, published = made(pipeline), pipeline.changed(decoding="finevision")
    after = made(published)
    model_ids = [each[LakeTable.SSCD_EMBEDDINGS].model_id for each in (before, after)]
    assert model_ids == [model_ids[0], f"{model_ids[0]}_finevision"]
    assert [each[LakeTable.SUBSET_IMAGES].facts["images_unreadable"] for each in (before, after)] == [1, 0]
    assert all(each.settings.get("decoding") == "finevision" for each in list(after.values())[:3])
    assert not any("decoding" in each.settings for each in before.values())
    plain = Image.open(io.BytesIO(see_through())).convert("RGB")
    np.testing.assert_allclose(stored_vector(pipeline, see_through()), embedding.load().embed([plain])[0], atol=1e-3)
    again = made(pipeline)
    assert again[LakeTable.SSCD_EMBEDDINGS].model_id == model_ids[0]
    difference = stored_vector(pipeline, see_through()) - embedding.load().embed([plain])[0]
    assert np.abs(difference).max() > 0.02


def test_vectors_of_two_decodings_are_not_joined(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([see_through()]), Row([image(3)])])
    made(pipeline)
    pipeline.write("other", [Row([image(4)])])
    published = pipeline.changed(decoding="finevision")
    assert published.run("other", only=PASS).success
    by_subset = {name: pipeline.lake.require(LakeTable.SSCD_EMBEDDINGS, name).model_id for name in ("some", "other")}
    assert by_subset["other"] == f"{by_subset['some']}_finevision"


def verified(pipeline: Pipeline) -> tuple[int, int, Any]:
    """Verify, and return the numbers of pairs and of those compared now, and the decoding that is recorded."""
    ran = pipeline.run("some", only=[*PASS, LakeTable.NEAR_DUPLICATES, LakeTable.VERIFIED_DUPLICATES])
    assert ran.success, ran.failures
    found = ran.metadata(LakeTable.VERIFIED_DUPLICATES)
    settings = pipeline.lake.require(LakeTable.VERIFIED_DUPLICATES, "some").settings
    return found["dagster/partition_row_count"], found["pairs_compared"], settings.get("decoding")


def test_verdicts_of_another_decoding_are_not_known(pipeline: Pipeline) -> None:
    pipeline.write("some", [Row([image(3)]), Row([near_copy(3)])])
    assert verified(pipeline) == (1, 1, None)
    published = pipeline.changed(decoding="finevision")
    assert verified(published) == (1, 1, "finevision")
    pipeline.write("some", [Row([image(3)]), Row([near_copy(3)]), Row([image(4)])])
    # With another image the table is written again, and its verdicts are known.
    assert verified(published) == (1, 0, "finevision")
    assert verified(pipeline) == (1, 1, None)


def test_a_decoding_edited_for_one_run_only_is_refused(pipeline: Pipeline) -> None:
    from visdiv_assets.orchestration.assets.ingest import _require_one_decoding
    from visdiv_assets.orchestration.resources import DecoderResource, SscdResource

    edited = pipeline.changed(decoding="finevision").settings
    sscd = SscdResource.from_settings(pipeline.settings)
    _require_one_decoding(DecoderResource.from_settings(pipeline.settings), sscd)
    with pytest.raises(ConfigError, match="set VISDIV_DECODING instead"):
        _require_one_decoding(DecoderResource.from_settings(edited), sscd)
