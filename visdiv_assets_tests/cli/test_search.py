"""`visdiv search`, in this process, on small subsets embedded by a small CLIP with random weights."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from visdiv_assets.embedding.clip.checkpoints import find_checkpoint
from visdiv_assets.embedding.clip.images import ClipImages
from visdiv_assets.embedding.clip.model import ClipModel
from visdiv_assets.embedding.clip.texts import ClipTexts
from visdiv_assets.embedding.queries import parse_weighted
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.cli.test_main import refused, visdiv
from visdiv_assets_tests.conftest import Row, image, made_once, near_copy, write_shard
from visdiv_assets_tests.testing.clip_lakes import add_clip_images
from visdiv_assets_tests.testing.clip_models import small_clip
from visdiv_assets_tests.testing.small_lakes import COPIES, DECISIONS, run_stages

#: Seeds of the images by subset; an image is a row of its own.
SUBSETS = {"birds": (1, 2, 3, 4), "geoqa+(x)": (5, 6, 7)}


def pixels(data: bytes) -> Image.Image:
    decoded = decode_image(data, limits=DecodeLimits(10**6)).pixels
    assert decoded is not None
    return decoded


def make(folder: Path) -> None:
    """A source, a CLIP, and a lake with what the stages of images and CLIP write."""
    for subset, seeds in SUBSETS.items():
        write_shard(folder / "source", subset, [Row([image(seed)]) for seed in seeds])
    # Queries are embedded by SSCD too.
    settings = run_stages(folder, subset=COPIES, corpus=DECISIONS, model="")
    images = ClipImages(ClipModel(find_checkpoint(str(small_clip(folder / "clip"))), "cpu"), "crop")
    lake = Lake(settings.lake_root)
    for subset, seeds in SUBSETS.items():
        data = [image(seed) for seed in seeds]
        vectors = images.embed([pixels(each) for each in data])
        add_clip_images(lake, subset, dict(zip(map(image_id, data), vectors, strict=True)), model=images.model_id)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "searching", make)


def search(made: Path, *arguments: str, **variables: str) -> Result:
    given = {"VISDIV_CLIP_MODEL": str(made / "clip"), **variables}
    return visdiv("search", *arguments, source=made / "source", data=made / "data", **given)


def rows(made: Path, *arguments: str) -> list[tuple[str, int, float]]:
    """Subset, row and score of each line."""
    result = search(made, *arguments)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()[2:] if "shown in" not in line]
    return [(line[0], int(line[1]), float(line[3])) for line in lines]


def expected(made: Path, question: np.ndarray) -> list[tuple[str, int, float]]:
    images = ClipImages(ClipModel(find_checkpoint(str(made / "clip")), "cpu"), "crop")
    found = [
        (subset, row, float(images.embed([pixels(image(seed))])[0] @ question))
        for subset, seeds in SUBSETS.items()
        for row, seed in enumerate(seeds)
    ]
    return sorted(found, key=lambda each: -each[2])


def text_vector(made: Path, text: str) -> np.ndarray:
    vector: np.ndarray = ClipTexts(ClipModel(find_checkpoint(str(made / "clip")), "cpu")).embed([text]).vectors[0]
    return vector


def compare(found: list[tuple[str, int, float]], wanted: list[tuple[str, int, float]]) -> None:
    assert [each[:2] for each in found] == [each[:2] for each in wanted]
    assert [each[2] for each in found] == pytest.approx([each[2] for each in wanted], abs=2e-3)


def test_a_text_finds_the_images_closest_in_the_model(made: Path) -> None:
    compare(rows(made, "a red cat"), expected(made, text_vector(made, "a red cat")))


def test_k_and_subset_limit_the_result(made: Path) -> None:
    everything = expected(made, text_vector(made, "a red cat"))
    compare(rows(made, "a red cat", "-k", "2"), everything[:2])
    compare(rows(made, "a red cat", "--subset", "geoqa+(x)"), [each for each in everything if each[0] != "birds"])


def test_weighted_queries_are_summed(made: Path) -> None:
    total = text_vector(made, "a red cat") * 1.0 - 0.5 * text_vector(made, "the blue dog")
    compare(rows(made, "a red cat", "--query", "-0.5:the blue dog"), expected(made, total / np.linalg.norm(total)))


def test_an_image_finds_its_copy_with_both_models(made: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.png").write_bytes(near_copy(6))
    for by in ((), ("--by", "clip"), ("--by", "sscd")):
        assert rows(made, "--image", str(tmp_path / "copy.png"), *by)[0][:2] == ("geoqa+(x)", 1)


def test_images_and_texts_go_together(made: Path, tmp_path: Path) -> None:
    (tmp_path / "two.png").write_bytes(image(2))
    found = rows(made, "the", "--image", f"20:{tmp_path / 'two.png'}")
    assert found[0][:2] == ("birds", 1)


def test_the_page_and_the_sheet_show_what_was_found(made: Path, tmp_path: Path) -> None:
    html, sheet = tmp_path / "new" / "found.html", tmp_path / "found.jpg"
    result = search(made, "<script>alert(1)</script>", "--html", str(html), "--sheet", str(sheet))
    assert result.exit_code == 0, result.output
    page = html.read_text(encoding="utf-8")
    assert page.count("<li>") == 7
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src &#39;none&#39;" in page
    assert "question 0 answer" in page
    assert page.count("data:image/webp;base64,") == 7
    with Image.open(io.BytesIO(sheet.read_bytes())) as opened:
        assert opened.format == "JPEG"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("x", "--by", "sscd"), "SSCD embeds images only"),
        (("x", "--subset", "nowhere"), "has no 'nowhere' among its subsets"),
        (("--image", "/no/such.png"), "there is no file '/no/such.png'"),
        (("--query", "inf:x"), "empty query"),
        (("--query", "2:"), "empty query"),
        (("x", "--query", "-1:x"), "cancel each other out"),
    ],
)
def test_an_invalid_query_is_refused(made: Path, arguments: tuple[str, ...], line: str) -> None:
    assert line in refused(search(made, *arguments))


def test_no_query_is_a_usage_error(made: Path) -> None:
    result = search(made)
    assert result.exit_code == 2
    assert "give a text, a --query or an --image" in result.stderr


def test_a_file_that_is_not_an_image_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"broken")
    assert "cannot be read as an image" in refused(search(made, "--image", str(tmp_path / "no.png")))


def test_without_clip_weights_only_sscd_searches(made: Path, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(image(1))
    assert "no CLIP weights" in refused(search(made, "x", VISDIV_CLIP_MODEL=""))
    assert search(made, "--image", str(tmp_path / "one.png"), VISDIV_CLIP_MODEL="").exit_code == 0


def test_other_weights_than_the_stored_ones_are_refused(made: Path, tmp_path: Path) -> None:
    other = small_clip(tmp_path / "other", seed=1)
    assert "the stored vectors were made by clip@" in refused(search(made, "x", VISDIV_CLIP_MODEL=str(other)))
    (tmp_path / "one.png").write_bytes(image(1))
    asked = ("--image", str(tmp_path / "one.png"), "--by", "clip")
    assert "but the settings name clip@" in refused(search(made, *asked, VISDIV_CLIP_CROP="squash"))


def test_missing_embeddings_are_named(made: Path, tmp_path: Path) -> None:
    line = refused(visdiv("search", "x", source=made / "source", data=tmp_path))
    assert "there is no clip_image_embeddings of any subset: run `visdiv run --all` with CLIP weights" in line


def test_a_weight_precedes_a_colon() -> None:
    assert parse_weighted("2:red bird") == (2, "red bird")
    assert parse_weighted("-1.5:a: b") == (-1.5, "a: b")
    assert parse_weighted("note: a bird") == (1, "note: a bird")
    assert parse_weighted("a bird") == (1, "a bird")


def test_a_server_takes_its_queries_on_the_page(made: Path) -> None:
    result = search(made, "a bird", "--serve")
    assert result.exit_code == 2
    assert "--serve takes its queries on the page" in result.stderr
