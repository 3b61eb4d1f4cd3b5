"""Which CLIP a setting names, where its files are, and what is said when they are not there.

The Hub is a function of the test's own, or an address on the loopback interface where nobody listens.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from visdiv_assets.embedding import load_clip_images, load_clip_texts
from visdiv_assets.embedding.clip import checkpoints
from visdiv_assets.embedding.clip.checkpoints import (
    NoClipWeightsError,
    call_with_timeout,
    find_checkpoint,
    same_weights,
    weights_of,
)
from visdiv_assets.errors import ModelError, VisdivError
from visdiv_assets_tests.conftest import made_once
from visdiv_assets_tests.testing.clip_models import small_clip

#: As it is outside of the tests, which never ask the Hub; see conftest.
OF_THE_HUB = checkpoints._find_on_hub

NAME = "owner/clip"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "clip_of_weights", small_clip)


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A checkpoint of the test's own."""
    return Path(shutil.copytree(saved, tmp_path / "clip"))


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process remembers, it forgets between tests."""
    monkeypatch.setattr(checkpoints, "_find_on_hub", OF_THE_HUB)
    OF_THE_HUB.cache_clear()
    yield
    OF_THE_HUB.cache_clear()


def refused(work: Callable[[], object], kind: type[VisdivError] = ModelError) -> str:
    """The one line that something is refused with."""
    with pytest.raises(kind) as caught:
        work()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Folders -------------------------------------------------------------------------------------------------------------


def test_a_folder_is_named_by_name_and_digest_of_its_weights(folder: Path) -> None:
    checkpoint = find_checkpoint(str(folder))
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]
    assert (checkpoint.folder, checkpoint.weights_id) == (folder, f"clip@{digest}")


class _Touch:
    """When it is unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_among_the_weights_is_refused_and_not_run(folder: Path, tmp_path: Path, zipped: bool) -> None:
    import torch

    (folder / "model.safetensors").unlink()
    torch.save(
        {"logit_scale": _Touch(tmp_path / "run")},
        folder / "pytorch_model.bin",
        _use_new_zipfile_serialization=zipped,
    )
    assert "cannot be loaded" in refused(lambda: load_clip_images(str(folder), device="cpu"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("known", [True, False])
def test_code_in_a_checkpoint_is_never_run(folder: Path, tmp_path: Path, known: bool) -> None:
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nclass Evil: pass\n", encoding="utf-8")
    for name, classes in (
        ("config.json", ("AutoConfig", "AutoModel")),
        ("preprocessor_config.json", ("AutoImageProcessor",)),
        ("tokenizer_config.json", ("AutoTokenizer",)),
    ):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        content["auto_map"] = dict.fromkeys(classes, "evil.Evil")
        if classes == ("AutoTokenizer",):
            content["auto_map"] = {"AutoTokenizer": ["evil.Evil", None]}
        if not known:
            content |= {"model_type": "evil", "image_processor_type": "Evil", "tokenizer_class": "Evil"}
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    for load in (load_clip_images, load_clip_texts):
        if known:
            load(str(folder), device="cpu")
        else:
            refused(partial(load, str(folder), device="cpu"))
    assert not (tmp_path / "run").exists()


def test_weights_in_pieces_are_hashed_in_order_of_names(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model-1.safetensors").write_bytes(data[:1000])
    (folder / "model-2.safetensors").write_bytes(data[1000:])
    pieces = {"b": "model-2.safetensors", "a": "model-1.safetensors", "c": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": pieces}))
    assert find_checkpoint(str(folder)).digest == hashlib.sha256(data).hexdigest()[:12]


def test_a_piece_that_is_missing_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    assert "clip lacks model-1.safetensors:" in refused(lambda: find_checkpoint(str(folder)))
    index.write_text("[]")
    assert "model.safetensors.index.json is damaged" in refused(lambda: find_checkpoint(str(folder)))


@pytest.mark.parametrize(
    ("file", "said"),
    [("config.json", "config.json"), ("model.safetensors", "model.safetensors or pytorch_model.bin")],
)
def test_a_file_that_a_folder_lacks_is_named(folder: Path, file: str, said: str) -> None:
    (folder / file).unlink()
    assert f"{folder} lacks {said}: VISDIV_CLIP_MODEL needs" in refused(lambda: find_checkpoint(str(folder)))


def test_a_folder_without_image_processor_still_embeds_texts(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    line = refused(lambda: load_clip_images(str(folder), device="cpu"))
    assert "clip lacks preprocessor_config.json or processor_config.json" in line
    assert load_clip_texts(str(folder), device="cpu").embed(["a cat"]).vectors.shape == (1, 32)


def test_a_folder_without_a_tokenizer_still_embeds_images(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert "clip lacks tokenizer.json or vocab.json" in refused(lambda: load_clip_texts(str(folder), device="cpu"))
    assert load_clip_images(str(folder), device="cpu").dimension == 32


@pytest.mark.parametrize("name", ["/no/such/folder", "./clip", "~/no such folder", "some/where/else"])
def test_what_looks_like_a_folder_and_is_none_is_refused(name: str) -> None:
    said = f"VISDIV_CLIP_MODEL names {name}, which is not a folder: correct the path"
    assert refused(lambda: find_checkpoint(name)) == said


def test_no_name_means_no_clip() -> None:
    assert refused(lambda: find_checkpoint(""), NoClipWeightsError) == "no CLIP weights: VISDIV_CLIP_MODEL is empty"


def test_model_ids_tell_whether_weights_are_the_same() -> None:
    images, texts = "openai/clip@0123456789ab/crop_224", "openai/clip@0123456789ab/text_77_windows"
    assert weights_of(images) == weights_of(texts) == "openai/clip@0123456789ab"
    assert same_weights(images, texts)
    assert not same_weights(images, "openai/clip@ffffffffffff/text_77")
    assert not same_weights(images, "other/clip@0123456789ab/text_77")
    assert not same_weights("model", "model")


# The Hub -------------------------------------------------------------------------------------------------------------


class Hub:
    """Stands in for huggingface_hub: a cache, a listing, and how often each was asked."""

    def __init__(self, folder: Path, files: list[str] | Exception, cached: bool = False) -> None:
        self.folder, self.files, self.cached = folder, files, cached
        self.asked: list[str] = []
        self.wanted: list[str] = []

    def snapshot_download(self, name: str, *, local_files_only: bool = False, **options: Any) -> str:
        self.asked.append("cache" if local_files_only else "download")
        if local_files_only and not self.cached:
            raise FileNotFoundError("not in the cache")
        self.wanted += options.get("allow_patterns", [])
        return str(self.folder)

    def model_info(self, name: str, *, timeout: float) -> SimpleNamespace:
        self.asked.append("list")
        if isinstance(self.files, Exception):
            raise self.files
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=file) for file in self.files])

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Hub:
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: self)
        return self


def test_a_model_in_the_cache_needs_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(folder, OSError("no network"), cached=True).install(monkeypatch)
    assert find_checkpoint(NAME).weights_id.startswith("owner/clip@")
    assert hub.asked == ["cache"]


def test_weights_of_other_frameworks_are_not_downloaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ["config.json", "tokenizer.json", "pytorch_model.bin", "tf_model.h5", "model.safetensors"]
    hub = Hub(folder, files).install(monkeypatch)
    assert find_checkpoint(NAME).name == NAME
    assert hub.asked == ["cache", "list", "download"]
    assert {"config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"} <= set(hub.wanted)
    assert not {"pytorch_model.bin", "tf_model.h5"} & set(hub.wanted)


def test_of_weights_in_pieces_all_are_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(folder, ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"]).install(monkeypatch)
    find_checkpoint(NAME)
    assert "pytorch_model*-of-*.bin" in hub.wanted


def test_an_incomplete_cache_is_completed_or_used_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tokenizer.json").unlink()
    hub = Hub(folder, OSError("no network"), cached=True).install(monkeypatch)
    assert find_checkpoint(NAME).folder == folder
    assert hub.asked == ["cache", "list"]


def test_an_unreachable_hub_is_asked_once_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub(tmp_path, httpx2.ConnectError("no route\nto host")).install(monkeypatch)
    lines = {refused(lambda: find_checkpoint(NAME), NoClipWeightsError) for _ in range(3)}
    (line,) = lines
    assert line.startswith("no CLIP weights: owner/clip is not on this machine and cannot be downloaded (no route): ")
    assert "hf download" in line
    assert "VISDIV_CLIP_MODEL" in line
    assert hub.asked == ["cache", "list"]
    assert [record.getMessage() for record in caplog.records] == [line]


def test_a_broken_download_counts_as_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tmp_path, ["model.safetensors"]).install(monkeypatch)

    def broken(name: str, *, local_files_only: bool = False, **options: Any) -> str:
        if local_files_only:
            raise FileNotFoundError("not in the cache")
        raise httpx2.ReadError("connection reset")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    assert "(connection reset)" in refused(lambda: find_checkpoint(NAME), NoClipWeightsError)
    assert hub.asked == ["list"]


def test_a_name_that_the_hub_does_not_know_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    response = httpx2.Response(404, request=httpx2.Request("GET", "http://127.0.0.1/"))
    Hub(tmp_path, RepositoryNotFoundError("404", response=response)).install(monkeypatch)
    line = refused(lambda: find_checkpoint(NAME))
    assert "'owner/clip' is neither a folder nor a model of the Hub that you may read" in line


def test_a_model_of_the_hub_without_weights_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(tmp_path, ["config.json", "model.gguf"]).install(monkeypatch)
    assert "owner/clip of the Hub has neither model.safetensors nor" in refused(lambda: find_checkpoint(NAME))


def test_a_name_that_no_model_can_have_is_an_error() -> None:
    assert "'--x--' is neither a folder nor the name of a model" in refused(lambda: find_checkpoint("--x--"))


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no response in 0\.05 s"):
        call_with_timeout(0.05, lambda: time.sleep(1))
    assert time.monotonic() - begin < 0.9
    assert call_with_timeout(5, lambda: 7) == 7
    with pytest.raises(IndexError):
        call_with_timeout(5, lambda: [7][1])
