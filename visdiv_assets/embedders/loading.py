"""Choosing an embedder by name and device."""

from __future__ import annotations

from visdiv_assets.devices import chosen_device
from visdiv_assets.embedders.interface import Embedder
from visdiv_assets.errors import VisdivError


def load(
    name: str = "auto",
    *,
    device: str = "auto",
    weights: str = "",
    weights_folder: str = "data/local/weights",
    batch_size: int = 0,
) -> Embedder:
    """Load an embedder.

    Args:
        name: `sscd_disc_mixup_int8` (ONNX, CPU), `sscd_disc_mixup` (TorchScript), or `auto`: the first on a CPU, the
            second on CUDA.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        weights: file with the TorchScript weights; empty to fetch them once.
        weights_folder: where fetched weights are kept.
        batch_size: pictures per call; 0 for what suits the device.

    Raises:
        VisdivError: the name is unknown, the device cannot be used, or the weights are not to be had.
    """
    device = chosen_device(device)
    if name == "auto":
        name = "sscd_disc_mixup_int8" if device == "cpu" else "sscd_disc_mixup"
    if name == "sscd_disc_mixup_int8":
        if device != "cpu":
            raise VisdivError(
                f"sscd_disc_mixup_int8 runs on the CPU only, not on {device}: set VISDIV_DEVICE=cpu, or "
                "VISDIV_SSCD_MODEL=sscd_disc_mixup"
            )
        from visdiv_assets.embedders.sscd_onnx import OnnxSscd

        return OnnxSscd(batch_size)
    if name == "sscd_disc_mixup":
        from visdiv_assets.embedders.sscd_torch import TorchSscd
        from visdiv_assets.embedders.weights import torchscript_weights

        return TorchSscd(torchscript_weights(weights, weights_folder), device, batch_size)
    raise VisdivError(f"{name!r} is not an embedder: use auto, sscd_disc_mixup_int8 or sscd_disc_mixup")
