"""The CLIP assets end to end, with a small model and without weights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.corpus.tables import NEEDS_CLIP
from visdiv_assets.embedding import load_clip_images, load_clip_texts
from visdiv_assets.embedding.clip.checkpoints import same_weights
from visdiv_assets.embedding.turns import embed_turns, text_id
from visdiv_assets.orchestration import assets
from visdiv_assets.orchestration.assets.clip_optional import LEFT_OUT_TAG
from visdiv_assets.settings import Settings
from visdiv_assets.sources import SCHEMA
from visdiv_assets.storage.lake import Lake
from visdiv_assets.vectors.faiss_index import nearest, read_index
from visdiv_assets_tests.conftest import CHECKOUT, Pipeline, image, made_once, other_model, shapes, written_at
from visdiv_assets_tests.testing.clip_models import small_clip

CLIP = ("clip_image_embeddings", "clip_text_embeddings", "clip_index")
STAGES = ("subset_images", "subset_turns", *CLIP)

#: A row: the seeds of its images, and its turns.
Row = tuple[Sequence[int], Sequence[tuple[str | None, str | None]]]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        small_clip(folder)

    return made_once(tmp_path_factory, "clip_of_assets", make)


@pytest.fixture
def clip(pipeline: Pipeline, clip_folder: Path) -> Pipeline:
    """The jobs with a CLIP."""
    return pipeline.changed(clip_model=str(clip_folder))


def write(pipeline: Pipeline, *shards: Sequence[Row], name: str = "some") -> list[Path]:
    paths = []
    for number, rows in enumerate(shards):
        path = Path(pipeline.settings.source) / "subsets" / name / f"train-{number:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        records = [
            {
                "images": [{"bytes": image(seed), "path": None} for seed in seeds],
                "texts": [{"user": user, "assistant": answer} for user, answer in turns],
            }
            for seeds, turns in rows
        ]
        pq.write_table(pa.Table.from_pylist(records, SCHEMA), path)
        paths.append(path)
    return paths


def answered(seed: int, text: str | None) -> Row:
    """A row of one image and one turn."""
    return [seed], [("what is it?", text)]


def content(pipeline: Pipeline, table: str, role: str, name: str = "some") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pipeline.lake.read(pipeline.lake.require(table, name), role).to_pylist()
    return rows


ROWS: list[Row] = [
    answered(0, "a red cat"),
    ([], [("a question", "an answer without an image")]),
    ([1, 2], []),
    ([3], [("first", "a red cat"), ("second", ""), ("third", "the blue dog")]),
    ([0], [(None, None)]),
]


# What is stored ------------------------------------------------------------------------------------------------------


def test_images_are_stored_as_unit_vectors_with_norms_and_ids(clip: Pipeline, clip_folder: Path) -> None:
    write(clip, ROWS[:3], ROWS[3:])
    ran = clip.run("some", only=STAGES)
    assert ran.success, ran.failures
    assert ran.materialized == set(STAGES)
    assert all(check.passed for check in ran.checks.values())
    manifest = clip.lake.require("clip_image_embeddings", "some")
    vectors, norms = clip.lake.array(manifest, "vectors"), clip.lake.column(manifest, "norms")
    embedder = load_clip_images(str(clip_folder), device="cpu")
    raw = embedder.run(embedder.stack([embedder.preprocess(shapes(seed)) for seed in range(4)]))
    assert (str(vectors.dtype), vectors.shape, str(norms.dtype)) == ("float16", (4, 32), "float32")
    np.testing.assert_allclose(vectors[:].astype(np.float32) * norms[:, None], raw, atol=1e-2)
    np.testing.assert_allclose(norms, np.linalg.norm(raw, axis=1), rtol=1e-4)
    sscd = clip.run("some", only=["sscd_embeddings"])
    assert sscd.success
    assert content(clip, "clip_image_embeddings", "ids") == content(clip, "sscd_embeddings", "ids")
    assert manifest.model_id == embedder.model_id
    assert not clip.lake.require("sscd_embeddings", "some").files("norms")


def test_the_index_finds_every_image(clip: Pipeline) -> None:
    write(clip, ROWS)
    assert clip.run("some", only=STAGES).success
    manifest = clip.lake.require("clip_index", "some")
    vectors = clip.lake.array(clip.lake.require("clip_image_embeddings", "some"), "vectors")[:]
    with clip.lake.open_file(manifest, "index") as stream:
        similarity, rows = nearest(read_index(stream), vectors, 1)
    assert rows[:, 0].tolist() == [0, 1, 2, 3]
    assert similarity.min() > 0.998
    assert content(clip, "clip_index", "ids") == content(clip, "clip_image_embeddings", "ids")


def test_texts_are_stored_once_and_every_turn_says_which_it_has(clip: Pipeline, clip_folder: Path) -> None:
    write(clip, ROWS[:2], ROWS[2:])
    ran = clip.run("some", only=STAGES)
    assert ran.success, ran.failures
    cat, answer, dog = (text_id(text) for text in ("a red cat", "an answer without an image", "the blue dog"))
    assert content(clip, "clip_text_embeddings", "turns") == [
        {"row": row, "turn": turn, "text_id": name}
        for row, turn, name in [(0, 0, cat), (1, 0, answer), (3, 0, cat), (3, 1, None), (3, 2, dog), (4, 0, None)]
    ]
    texts = content(clip, "clip_text_embeddings", "texts")
    assert [text["text_id"] for text in texts] == [cat, answer, dog]
    assert [text["truncated"] for text in texts] == [False, True, False]
    manifest = clip.lake.require("clip_text_embeddings", "some")
    embedder = load_clip_texts(str(clip_folder), device="cpu")
    expected = embedder.embed(["a red cat", "an answer without an image", "the blue dog"])
    np.testing.assert_allclose(clip.lake.array(manifest, "vectors")[:], expected.vectors, atol=1e-3)
    np.testing.assert_allclose(clip.lake.column(manifest, "norms"), expected.norms, rtol=1e-4)
    metadata = ran.metadata("clip_text_embeddings")
    assert (metadata["turns"], metadata["turns_without_text"], metadata["texts_truncated"]) == (6, 2, 1)
    assert same_weights(str(manifest.model_id), str(clip.lake.require("clip_image_embeddings", "some").model_id))


@pytest.mark.parametrize(
    ("which", "text"), [("user", "what is it?"), ("assistant", "a cat"), ("both", "what is it?\na cat")]
)
def test_which_text_of_a_turn_is_embedded_is_a_setting(clip: Pipeline, which: str, text: str) -> None:
    write(clip, [answered(0, "a cat")])
    assert clip.changed(clip_text=which).run("some", only=STAGES).success
    assert content(clip, "clip_text_embeddings", "turns") == [{"row": 0, "turn": 0, "text_id": text_id(text)}]
    assert clip.lake.require("clip_text_embeddings", "some").settings == {"text": which}


@pytest.mark.parametrize("rows", [[], [([], [])], [([], [("q", "a cat")])], [([1], [])]], ids=str)
def test_a_subset_without_images_or_texts_is_no_failure(clip: Pipeline, rows: list[Row]) -> None:
    write(clip, rows)
    ran = clip.run("some", only=STAGES)
    assert ran.success, ran.failures
    assert ran.materialized == set(STAGES)
    images, texts = (clip.lake.require(table, "some") for table in CLIP[:2])
    assert clip.lake.array(images, "vectors").shape == (sum(len(seeds) for seeds, _ in rows), 32)
    assert clip.lake.array(texts, "vectors").shape == (sum(len(turns) for _, turns in rows), 32)


# Running again -------------------------------------------------------------------------------------------------------


def test_a_second_run_finds_every_unit_again(clip: Pipeline) -> None:
    write(clip, ROWS[:3], ROWS[3:])
    assert clip.run("some", only=STAGES).success
    before = written_at(clip.settings.lake_root, *CLIP)
    ran = clip.run("some", only=STAGES)
    assert ran.success
    assert written_at(clip.settings.lake_root, *CLIP) == before
    images, texts = (ran.metadata(asset) for asset in CLIP[:2])
    assert (images["images_embedded"], images["units_reused"]) == (0, 2)
    assert (texts["texts_embedded"], texts["units_reused"], texts["texts_reused"]) == (0, 2, 3)


def test_an_interrupted_run_resumes_after_its_last_file(clip: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    write(clip, [answered(0, "a cat"), answered(1, "a dog")], [answered(2, "a cat"), answered(3, "red")])
    assert clip.run("some", only=["subset_images", "subset_turns"]).success
    original = embed_turns
    shards: list[int] = []

    def killed(*arguments: Any, **options: Any) -> Any:
        shards.append(options["first_row"])
        if options["first_row"]:
            raise RuntimeError("killed")
        return original(*arguments, **options)

    monkeypatch.setattr(assets.clip, "embed_turns", killed)
    assert not clip.run("some", only=["clip_text_embeddings"]).success
    assert clip.lake.manifest("clip_text_embeddings", "some") is None
    monkeypatch.undo()
    ran = clip.run("some", only=["clip_text_embeddings"])
    assert ran.success
    assert shards == [0, 2]
    metadata = ran.metadata("clip_text_embeddings")
    # Of the second file, only the text that the reused first file lacks is embedded.
    assert (metadata["units_reused"], metadata["texts_embedded"], metadata["texts"]) == (1, 1, 3)


def test_of_a_changed_subset_only_what_is_new_is_embedded(clip: Pipeline) -> None:
    write(clip, [answered(seed, f"text {seed}") for seed in range(4)], [answered(4, "text 4"), answered(5, "text 0")])
    assert clip.run("some", only=STAGES).success
    write(
        clip,
        [answered(seed, f"text {seed}") for seed in (10, 0, 1, 2, 3)],
        [answered(4, "text 4"), answered(5, "text 0")],
    )
    fresh = clip.elsewhere()
    ran = clip.run("some", only=STAGES)
    assert ran.success
    assert fresh.run("some", only=STAGES).success
    images, texts = (ran.metadata(asset) for asset in CLIP[:2])
    assert (images["images_embedded"], images["images_reused"]) == (1, 6)
    assert (texts["texts_embedded"], texts["texts_reused"]) == (1, 5)
    for table, roles in ((CLIP[0], ["ids"]), (CLIP[1], ["texts", "turns"])):
        for role in roles:
            assert content(clip, table, role) == content(fresh, table, role)
        old, new = (each.lake.require(table, "some") for each in (clip, fresh))
        np.testing.assert_allclose(clip.lake.array(old, "vectors")[:], fresh.lake.array(new, "vectors")[:], atol=1e-3)
        np.testing.assert_allclose(clip.lake.column(old, "norms"), fresh.lake.column(new, "norms"), rtol=1e-4)


def test_another_model_or_preprocessing_embeds_everything_again(clip: Pipeline, tmp_path: Path) -> None:
    write(clip, ROWS)
    assert clip.run("some", only=STAGES).success
    padded = clip.changed(clip_crop="pad", clip_text_windows=True)
    ran = padded.run("some", only=STAGES)
    assert ran.metadata("clip_image_embeddings")["images_embedded"] == 4
    assert ran.metadata("clip_text_embeddings")["texts_embedded"] == 3
    assert padded.lake.require("clip_image_embeddings", "some").model_id.endswith("/pad_32")  # type: ignore[union-attr]
    assert ran.metadata("clip_text_embeddings")["texts_truncated"] == 0
    other = clip.changed(clip_model=str(small_clip(tmp_path / "clip", dimension=16, seed=1)))
    ran = other.run("some", only=STAGES)
    assert ran.success, ran.failures
    assert ran.metadata("clip_image_embeddings")["images_embedded"] == 4
    assert other.lake.array(other.lake.require("clip_image_embeddings", "some"), "vectors").shape == (4, 16)


def test_an_image_that_changed_since_it_was_listed_is_an_error(clip: Pipeline) -> None:
    write(clip, ROWS)
    assert clip.run("some", only=["subset_images"]).success
    write(clip, [answered(7, "a cat")])
    ran = clip.run("some", only=CLIP)
    assert set(ran.failures) == {"subset_pass", "clip_text_embeddings"}
    assert all("run `visdiv run some`" in str(line) for line in ran.failures.values())


# Without weights -----------------------------------------------------------------------------------------------------


# Without a name of a model: see also test_clip_findings.
@pytest.mark.parametrize("model", [pytest.param("", marks=pytest.mark.nightly), "openai/clip-vit-base-patch32"])
def test_without_weights_clip_assets_make_nothing_and_say_why(
    pipeline: Pipeline, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    without = pipeline.changed(clip_model=model)
    write(without, ROWS, [([seed], []) for seed in (5, 6)])
    ran = without.run("some", sscd=other_model("color"))
    assert ran.success, ran.failures
    assert {"subset_images", "near_duplicates", "verified_duplicates", *NEEDS_CLIP} <= ran.materialized
    assert not NEEDS_CLIP & set(without.lake.tables())
    assert [record.name for record in caplog.records if record.name.startswith("dagster.")] == []
    for asset in NEEDS_CLIP:
        made = ran.metadata(asset)
        assert "no CLIP weights" in made["made_nothing"]
        assert not made["stored_by_an_earlier_run"]
    assert all(check.passed for check in ran.checks.values())
    run = without.instance.get_run_by_id(ran.result.run_id)
    assert run is not None
    assert run.tags[LEFT_OUT_TAG] == "no CLIP weights"
    published = without.publish()
    assert published.success, published.failures


@pytest.mark.nightly
def test_results_with_weights_stay_stored_without_them(clip: Pipeline) -> None:
    write(clip, ROWS)
    assert clip.run("some").success
    stored = {table: clip.lake.require(table, "some").digest for table in NEEDS_CLIP}
    ran = clip.changed(clip_model="").run("some")
    assert ran.success, ran.failures
    assert ran.metadata("clip_image_embeddings")["stored_by_an_earlier_run"]
    assert {table: clip.lake.require(table, "some").digest for table in NEEDS_CLIP} == stored


@pytest.mark.nightly
def test_stale_vectors_without_weights_stop_nothing(clip: Pipeline) -> None:
    write(clip, ROWS)
    assert clip.run("some").success
    write(clip, [answered(9, "another")])
    ran = clip.changed(clip_model="").run("some")
    assert ran.success, ran.failures
    assert "VISDIV_CLIP_MODEL is empty" in ran.metadata("alignment")["made_nothing"]


def test_with_weights_missing_vectors_are_an_error(clip: Pipeline) -> None:
    write(clip, ROWS)
    assert clip.run("some", only=["subset_images"]).success
    ran = clip.run("some", only=["clip_index"])
    assert "run `visdiv run some` with CLIP weights" in str(ran.failures["clip_index"])


@pytest.mark.nightly
def test_weights_that_come_later_are_used(pipeline: Pipeline, clip_folder: Path) -> None:
    write(pipeline, ROWS)
    assert pipeline.run("some").success
    ran = pipeline.changed(clip_model=str(clip_folder)).run("some")
    assert ran.success, ran.failures
    assert set(CLIP) <= ran.materialized
    assert all(check.passed for check in ran.checks.values())


def test_a_folder_that_is_not_there_is_a_failure_of_one_line(pipeline: Pipeline) -> None:
    write(pipeline, ROWS)
    ran = pipeline.changed(clip_model="/no/such/folder").run("some", only=STAGES)
    said = "VISDIV_CLIP_MODEL names /no/such/folder, which is not a folder: correct the path"
    assert ran.failures == {"subset_pass": said}


@pytest.mark.parametrize(
    ("tower", "works", "fails", "what"),
    [
        (
            "vision",
            {"subset_images", "subset_turns", "clip_image_embeddings", "clip_index"},
            "clip_text_embeddings",
            "texts",
        ),
        # Before anything is read, so that a file is not read twice.
        ("text", set(), "subset_pass", "images"),
    ],
)
def test_with_one_tower_alone_the_other_asset_fails_in_one_line(
    pipeline: Pipeline, tmp_path: Path, tower: str, works: set[str], fails: str, what: str
) -> None:
    folder = small_clip(tmp_path / "half", towers=[tower])
    write(pipeline, ROWS)
    ran = pipeline.changed(clip_model=str(folder)).run("some", only=STAGES)
    assert ran.failures == {fails: f"half has no encoder for {what}; use a checkpoint with both"}
    assert ran.materialized == works


def test_without_weights_torch_and_transformers_stay_unimported(tmp_path: Path) -> None:
    script = (
        "import sys; from visdiv_assets.embedding import load_clip_texts\n"
        "from visdiv_assets.embedding.clip.checkpoints import NoClipWeightsError\n"
        "try: load_clip_texts('', device='cpu')\n"
        "except NoClipWeightsError: sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))\n"
        "sys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, check=False).returncode == 0


# Checks --------------------------------------------------------------------------------------------------------------


def test_vectors_that_are_not_finite_are_found(clip: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    write(clip, ROWS)
    original = embed_turns

    def spoiled(*arguments: Any, **options: Any) -> Any:
        made = original(*arguments, **options)
        vectors = made.vectors.copy()
        vectors[0] = np.nan
        return made._replace(vectors=vectors, texts=made.texts.slice(1))

    monkeypatch.setattr(assets.clip, "embed_turns", spoiled)
    ran = clip.run("some", only=STAGES)
    assert set(ran.failures) == {"clip_text_embeddings"}
    text_checks = {"one_vector_per_text", "every_turn_has_its_text"}
    assert not any(ran.checks[name].passed for name in text_checks)
    # A check of the images has the same name.
    found = [
        check.passed for check in ran.result.get_asset_check_evaluations() if check.check_name == "finite_unit_length"
    ]
    assert sorted(found) == [False, True]


@pytest.mark.nightly
def test_the_lake_of_a_run_without_clip_differs_in_nothing_else(pipeline: Pipeline, clip_folder: Path) -> None:
    write(pipeline, ROWS)
    write(pipeline, [answered(9, "red")], name="other")
    (Path(pipeline.settings.source) / "subsets" / "other" / "note.txt").write_text("no image")
    with_clip = pipeline.elsewhere().changed(clip_model=str(clip_folder))
    assert pipeline.run("some").success
    assert with_clip.run("some").success

    def tables(settings: Settings) -> dict[str, str]:
        lake = Lake(settings.lake_root)
        return {table: lake.require(table, "some").digest for table in lake.tables() if "clip" not in table}

    without, own = tables(pipeline.settings), tables(with_clip.settings)
    assert len(without) >= 8
    assert {table: own[table] for table in without} == without
