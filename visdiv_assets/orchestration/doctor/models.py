"""Check the SSCD model: its device, its weights, and that it works."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from visdiv_assets.devices import has_cuda, has_driver, resolve_device, torch_device
from visdiv_assets.embedding import load
from visdiv_assets.embedding.loading import ONNX, TORCHSCRIPT, resolve_model
from visdiv_assets.embedding.weights import (
    TORCHSCRIPT_SHA256,
    TORCHSCRIPT_URL,
    check_weights,
    onnx_weights,
    torchscript_file,
)
from visdiv_assets.extras import is_installed
from visdiv_assets.orchestration.doctor.verdicts import Verdict, ok, problem, warning
from visdiv_assets.settings import Settings
from visdiv_assets.texts.ocr.rapid import EXTRA, MODULE, reader_id

#: Dimension of SSCD's vectors.
DIMENSION = 512


def check_device(settings: Settings) -> Verdict:
    """Check that the device of the settings can be used."""
    device = resolve_device(settings.device)
    if device == "cpu":
        if settings.device == "auto" and has_driver() and not has_cuda():
            if not is_installed("torch"):
                return warning(
                    "a CUDA driver is installed, but torch is not, so the CPU is used: run `pip install "
                    "'visdiv-assets[gpu]'`"
                )
            return warning(
                "a CUDA driver is installed, but torch finds no CUDA device and uses the CPU: install torch with CUDA"
            )
        return ok(f"VISDIV_DEVICE={settings.device}: the CPU")
    found = torch_device(device)
    import torch

    memory = torch.cuda.get_device_properties(found).total_memory
    return ok(f"VISDIV_DEVICE={settings.device}: {torch.cuda.get_device_name(found)}, {memory / 1e9:.0f} GB")


def check_weights_file(settings: Settings) -> Verdict:
    """Check that the weights of the model are the published ones, without downloading them."""
    name = resolve_model(settings.sscd_model, resolve_device(settings.device))
    if name == ONNX:
        return ok(f"{name}: {onnx_weights()}, SHA-256 as published")
    path = _torchscript(settings)
    if not path.is_file():
        if settings.sscd_weights:
            return problem(
                f"VISDIV_SSCD_WEIGHTS names {path}, which is not a file: fix it, or unset it to download the weights"
            )
        return warning(f"{name}: not downloaded yet; the first run downloads 99 MB from {TORCHSCRIPT_URL}")
    check_weights(path, TORCHSCRIPT_SHA256)
    return ok(f"{name}: {path}, SHA-256 as published")


def check_model(settings: Settings) -> Verdict | None:
    """Check that the model loads and returns a unit vector for an image; None if it is not downloaded yet."""
    name = resolve_model(settings.sscd_model, resolve_device(settings.device))
    if name == TORCHSCRIPT and not _torchscript(settings).is_file():
        return None
    from PIL.Image import fromarray

    begin = time.monotonic()
    embedder = load(
        settings.sscd_model,
        device=settings.device,
        weights=settings.sscd_weights,
        weights_folder=settings.weights_folder,
        batch_size=settings.batch_size,
    )
    loaded = time.monotonic()
    ramp = np.add.outer(np.arange(96), np.arange(128)).astype(np.uint8)
    vectors = embedder.embed([fromarray(np.stack([ramp, ramp.T[:96, :96].repeat(2, 1)[:, :128], ramp], axis=2))])
    ended = time.monotonic()
    if vectors.shape != (1, DIMENSION):
        return problem(f"{embedder.model_id} returns vectors of shape {list(vectors.shape)}, not [1, {DIMENSION}]")
    length = float(np.linalg.norm(vectors))
    if not abs(length - 1) < 1e-3:
        return problem(f"{embedder.model_id} returns a vector of length {length:.4f}, not 1")
    return ok(
        f"{embedder.model_id} on {embedder.device}: loaded in {loaded - begin:.1f} s, one image embedded in "
        f"{ended - loaded:.2f} s as a unit vector of {DIMENSION} dimensions"
    )


def check_ocr() -> Verdict:
    """Check whether text in images can be read, without loading the reader."""
    if not is_installed(MODULE):
        return ok(f"text in images is not read: `visdiv run --ocr` needs `pip install 'visdiv-assets[{EXTRA}]'`")
    return ok(f"`visdiv run --ocr` reads text in images with {reader_id()}")


def _torchscript(settings: Settings) -> Path:
    return torchscript_file(settings.sscd_weights, settings.weights_folder)
