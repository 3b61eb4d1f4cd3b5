"""Vectors of folders and lists of files, on one device and several, with and without a cache."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visdiv_assets import devices, embedding, select_diverse_samples, self_join
from visdiv_assets.embedding import file_stream, vector_cache
from visdiv_assets.embedding.extract import ImageEmbedder, SSCDEmbedder, extract
from visdiv_assets.errors import StorageError
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets_tests.conftest import ColorEmbedder, image, png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven images of which two are the same, a damaged file, and what is no image."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    (folder / ".thumbnails").mkdir()
    for name, seed in (("3.png", 3), ("1.png", 1), ("deeper/2.PNG", 2), ("0.dat", 5), ("4.png", 4), ("5.png", 1)):
        (folder / name).write_bytes(image(seed))
    (folder / "2b.png").write_bytes(image(6))
    (folder / ".thumbnails" / "0.png").write_bytes(image(0))
    (folder / "notes.txt").write_text("not an image")
    (folder / "25.png").write_bytes(image(2)[:300])
    return folder


NAMES = ["0.dat", "1.png", "2b.png", "3.png", "4.png", "5.png", "deeper/2.PNG"]


def expected_vectors(folder: Path) -> np.ndarray:
    return ColorEmbedder().embed([Image.open(folder / name).convert("RGB") for name in NAMES])


@pytest.mark.parametrize("threads", [1, 3])
def test_vectors_stand_beside_their_files(folder: Path, threads: int) -> None:
    vectors, paths, unreadable = ImageEmbedder(ColorEmbedder(), threads=threads).extract(folder, progress=False)
    assert [path.relative_to(folder).as_posix() for path in paths] == NAMES
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, expected_vectors(folder))
    assert [(file.path.name, file.status) for file in unreadable] == [("25.png", "truncated")]


def test_a_list_of_files_keeps_its_order(folder: Path) -> None:
    files: list[str | Path] = [str(folder / "4.png"), folder / "missing.png", folder / "1.png", folder / "4.png"]
    found = ImageEmbedder(ColorEmbedder(batch_size=1)).extract(files, progress=False)
    assert [path.name for path in found.paths] == ["4.png", "1.png", "4.png"]
    np.testing.assert_array_equal(found.vectors, expected_vectors(folder)[[4, 1, 4]])
    assert found.unreadable == [(folder / "missing.png", "not_found", "No such file or directory")]
    assert len(ImageEmbedder(ColorEmbedder()).extract([], progress=False)) == 0


def test_what_is_extracted_goes_where_embeddings_go(folder: Path) -> None:
    found = ImageEmbedder(ColorEmbedder()).extract(folder, progress=False)
    assert self_join(found, 0.9999).select(["left", "right"]).to_pylist() == [{"left": 1, "right": 5}]
    assert select_diverse_samples(found, 3).tolist() == select_diverse_samples(found.vectors, 3).tolist()
    assert np.asarray(found, np.float16).dtype == np.float16
    assert repr(found) == "Extracted(7 vectors of 192 dimensions, 1 unreadable files)"


def test_an_image_is_embedded_once_with_a_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_cache, "PART_ROWS", 3)
    model = ColorEmbedder()
    first = ImageEmbedder(model, cache=tmp_path / "kept").extract(folder, progress=False)
    assert model.embedded == 7
    (folder / "1.png").rename(folder / "9.png")
    (folder / "8.png").write_bytes(image(8))
    again = ImageEmbedder(model, cache=tmp_path / "kept").extract(folder, progress=False)
    assert model.embedded == 8
    names = [path.name for path in again.paths]
    assert names == ["0.dat", "2b.png", "3.png", "4.png", "5.png", "8.png", "9.png", "2.PNG"]
    np.testing.assert_array_equal(again.vectors[[0, 6, 1, 2, 3, 4, 7]], first.vectors)
    assert [file.path.name for file in again.unreadable] == ["25.png"]


def test_models_and_limits_do_not_share_kept_vectors(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "kept"
    ImageEmbedder(ColorEmbedder(), cache=cache).extract(folder, progress=False)
    other = ColorEmbedder(name="other")
    ImageEmbedder(other, cache=cache).extract(folder, progress=False)
    assert other.embedded == 7
    for limits in (DecodeLimits(max_pixels=10), DecodeLimits(max_bytes=10)):
        found = ImageEmbedder(ColorEmbedder(), cache=cache, limits=limits).extract(folder, progress=False)
        assert (len(found), {file.status for file in found.unreadable}) == (0, {"too_large"})


def test_what_was_embedded_before_an_interruption_is_kept(folder: Path, tmp_path: Path) -> None:
    class Interrupted(ColorEmbedder):
        def run(self, pixels: np.ndarray) -> np.ndarray:
            if self.embedded >= 2:
                raise KeyboardInterrupt
            return super().run(pixels)

    cache = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        ImageEmbedder(Interrupted(batch_size=1), cache=cache, threads=1).extract(folder, progress=False)
    model = ColorEmbedder()
    assert len(ImageEmbedder(model, cache=cache).extract(folder, progress=False)) == 7
    assert model.embedded < 7


def test_a_damaged_cache_is_named(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "kept"
    ImageEmbedder(ColorEmbedder(), cache=cache).extract(folder, progress=False)
    (part,) = cache.rglob("*.npy")
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    with pytest.raises(StorageError, match=r"\.npy cannot be read .*: remove it"):
        ImageEmbedder(ColorEmbedder(), cache=cache).extract(folder, progress=False)
    np.save(part, np.zeros((3, 4)))
    with pytest.raises(StorageError, match="holds something else"):
        ImageEmbedder(ColorEmbedder(), cache=cache).extract(folder, progress=False)


def test_several_devices_share_the_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_stream, "CHUNK_IMAGES", 2)
    models = [ColorEmbedder(), ColorEmbedder()]
    found = ImageEmbedder(models, threads=2).extract(folder, progress=False)
    np.testing.assert_array_equal(found.vectors, expected_vectors(folder))
    assert [file.path.name for file in found.unreadable] == ["25.png"]
    assert sum(model.embedded for model in models) == 7


def test_each_device_of_all_loads_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(name: str, *, device: str, **options: object) -> ColorEmbedder:
        loaded.append((device, options["batch_size"]))
        return ColorEmbedder()

    monkeypatch.setattr(embedding, "load", load)
    monkeypatch.setattr(devices, "cuda_devices", lambda: ["cuda:0", "cuda:1"])
    assert len(SSCDEmbedder("cuda:all", 32).embedders) == 2
    assert len(SSCDEmbedder(device="cpu").embedders) == 1
    assert loaded == [("cuda:0", 32), ("cuda:1", 32), ("cpu", 0)]


def test_images_of_any_mode_are_embedded() -> None:
    drawing = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    drawing.paste((200, 30, 30, 255), (5, 5, 20, 30))
    flat = Image.open(io.BytesIO(png(drawing))).convert("RGBA")
    on_white = Image.new("RGB", (40, 40), "white")
    on_white.paste(drawing, mask=drawing)
    embedder = ImageEmbedder(ColorEmbedder())
    np.testing.assert_array_equal(embedder.embed([flat]), embedder.embed([on_white]))
    assert embedder.embed([Image.new("L", (3, 3)), Image.new("CMYK", (9, 9))]).shape == (2, 192)


def test_progress_is_shown_on_standard_error(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("visdiv_assets.progress.SECONDS_BETWEEN_UPDATES", 0.001)
    ImageEmbedder(ColorEmbedder()).extract([folder / "1.png"] * 300)
    assert "embedding · " in terminal.getvalue()
    assert "of 300 images" in terminal.getvalue()
    terminal.truncate(0)
    ImageEmbedder(ColorEmbedder()).extract([folder / "1.png"] * 300, progress=False)
    assert not terminal.getvalue()


def test_a_folder_is_embedded_in_one_call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "load", lambda *args, **options: ColorEmbedder())
    found = extract(folder, progress=False)
    np.testing.assert_array_equal(found.vectors, expected_vectors(folder))
    assert found.model_id == ColorEmbedder().model_id
