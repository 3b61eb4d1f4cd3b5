"""Choosing an embedder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from visdiv_assets.devices import has_cuda
from visdiv_assets.embedding import load
from visdiv_assets.errors import VisdivError

INT8 = "sscd_disc_mixup_int8@86386042eb85/skew_320"


def test_auto_takes_the_int8_model_on_a_cpu() -> None:
    assert load("auto", device="cpu").model_id == INT8


@pytest.mark.skipif(has_cuda(), reason="there is a CUDA device")
def test_auto_takes_the_cpu_where_there_is_no_cuda_device() -> None:
    embedder = load()
    assert (embedder.model_id, embedder.device) == (INT8, "cpu")


@pytest.mark.skipif(has_cuda(), reason="asks torch for the CUDA device")
def test_torch_is_not_imported_for_the_int8_model() -> None:
    script = "import sys; from visdiv_assets.embedding import load; load(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_batch_size_is_the_one_asked_for() -> None:
    assert load("auto", device="cpu", batch_size=7).batch_size == 7
    assert load("auto", device="cpu").batch_size == 4


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(VisdivError, match="'sscd' is not an SSCD model: use auto, sscd_disc_mixup_int8 or sscd_dis"):
        load("sscd", device="cpu")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_the_int8_model_is_refused_on_a_gpu(device: str) -> None:
    with pytest.raises(VisdivError, match=f"runs on the CPU only, not on {device}"):
        load("sscd_disc_mixup_int8", device=device)


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(b"mine")
    with pytest.raises(VisdivError, match=r"mine\.pt is not the expected weights file"):
        load("sscd_disc_mixup", device="cpu", weights=str(path))
