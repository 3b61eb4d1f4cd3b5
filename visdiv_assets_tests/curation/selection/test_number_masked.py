"""The number-masked CLIP filter and ClipCov's zero-shot classes, by a small CLIP with random weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.curation.selection.clip_cov import zero_shot_classes
from visdiv_assets.curation.selection.number_masked import mask_numbers
from visdiv_assets.embedding import load_clip_texts
from visdiv_assets.embedding.clip.checkpoints import find_checkpoint
from visdiv_assets.embedding.clip.images import ClipImages
from visdiv_assets.embedding.clip.model import ClipModel
from visdiv_assets.errors import InputError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets_tests.cli.test_main import refused, visdiv
from visdiv_assets_tests.conftest import image, made_once
from visdiv_assets_tests.testing.clip_models import small_clip
from visdiv_assets_tests.testing.small_lakes import run_stages
from visdiv_assets_tests.testing.told_rows import Told, write_told
from visdiv_assets_tests.testing.vectors import random_units

#: Rows of an image and their turns; the answers are embedded.
ROWS: list[Told] = [
    ([image(1)], [("What?", "a red cat"), ("How many?", "3 red cats")]),
    ([image(2)], [("When?", "the dog of 2023-05-04, at 10:30")]),
    ([image(3)], [("How many?", "1,250")]),
    ([image(4), image(5)], [("What?", "a blue dog, 50% off")]),
    ([], [("What?", "a cat")]),
]

#: What the methods of selection are computed from.
STAGES = (
    *("subset_images", "subset_turns", "text_contamination"),
    *("clip_image_embeddings", "clip_text_embeddings", "alignment"),
)


def make(folder: Path) -> None:
    write_told(folder / "source", "some", ROWS)
    clip = small_clip(folder / "clip")
    run_stages(folder, subset=STAGES, corpus=["selection_scores"], clip_model=str(clip))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "number_masked", make)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("3 red cats", "red cats"),
        ("sold 1,250.5 units  at 10:30", "sold units at"),
        ("-5 % and 12%", "% and"),
        ("no numbers,  two  spaces", "no numbers,  two  spaces"),
        ("٣ قطط", "قطط"),
        ("1250", ""),
        (None, None),
    ],
)
def test_numbers_are_removed_and_nothing_else(text: str | None, masked: str | None) -> None:
    assert mask_numbers(pa.array([text], pa.string())).to_pylist() == [masked]


def test_scores_are_those_of_the_masked_texts_alone(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.parquet"
    ran = visdiv(
        *("select", "number_masked", "--fraction", "1", "--out", str(out)),
        source=made / "source",
        data=made / "data",
        VISDIV_CLIP_MODEL=str(made / "clip"),
    )
    assert ran.exit_code == 0, ran.output
    found = pq.read_table(out)
    texts = load_clip_texts(str(made / "clip"), device="cpu")
    images = ClipImages(ClipModel(find_checkpoint(str(made / "clip")), "cpu"), "crop")
    expected = {}
    for row, (files, turns) in enumerate(ROWS):
        answers = [re.sub(r"\s+", " ", re.sub(r"\d[\d.,:-]*\d%?|\d+%?", "", answer)).strip() for _, answer in turns]
        if files and (said := [answer for answer in answers if answer]):
            pixels = [decode_image(data, limits=DecodeLimits(10**6)).pixels for data in files]
            cosine = texts.embed(said).vectors @ images.embed([each for each in pixels if each]).T
            expected[row] = 2.5 * np.maximum(cosine.max(axis=1), 0).mean()
    assert set(expected) == {0, 1, 3}
    scores = dict(zip(found["row"].to_pylist(), found["score"].to_pylist(), strict=True))
    assert scores == pytest.approx(expected, abs=3e-3)


def test_texts_of_another_prefix_are_refused(made: Path) -> None:
    line = refused(
        visdiv(
            *("select", "number_masked", "--k", "1"),
            source=made / "source",
            data=made / "data",
            VISDIV_CLIP_MODEL=str(made / "clip"),
            VISDIV_CLIP_TEXT_PREFIX="A photo depicts",
        )
    )
    assert "set the model and prefix that made them" in line


def test_all_methods_that_can_be_computed_are_compared(made: Path) -> None:
    ran = visdiv(
        *("select", "--compare", "--fraction", "0.5"),
        source=made / "source",
        data=made / "data",
        VISDIV_CLIP_MODEL=str(made / "clip"),
    )
    assert ran.exit_code == 0, ran.output
    for method in ("semdedup", "clip_score", "number_masked", "k_center", "clip_cov", "clippings", "text_overlap"):
        assert re.search(rf"^ *{method} ", ran.stdout, re.MULTILINE), method
    assert "Diversity of the selected rows, by CLIP vectors" in ran.stdout
    assert "whitened_clip was left out: no row has a score by whitened_clip" in ran.stdout


def test_zero_shot_classes_are_the_closest_names(made: Path, tmp_path: Path) -> None:
    images, texts, names = (random_units(rows, 8, seed) for rows, seed in ((50, 1), (50, 2), (3, 3)))
    labels, cosines = zero_shot_classes(images, texts, names)
    assert labels.tolist() == (images @ names.T).argmax(axis=1).tolist()
    assert cosines == pytest.approx((texts @ names.T)[np.arange(50), labels], abs=1e-6)
    with pytest.raises(InputError, match="4 dimensions and images 8"):
        zero_shot_classes(images, texts, names[:, :4])
    classes = tmp_path / "classes.txt"
    classes.write_text("cat\ndog\n\n")
    ran = visdiv(
        *("select", "clip_cov", "--k", "2", "--classes", str(classes)),
        source=made / "source",
        data=made / "data",
        VISDIV_CLIP_MODEL=str(made / "clip"),
    )
    assert ran.exit_code == 0, ran.output
