"""Choosing an embedder by name and device. Libraries that run models are imported by what is called here."""

from __future__ import annotations

from functools import lru_cache

from visdiv_assets.devices import resolve_device
from visdiv_assets.embedding.clip.checkpoints import Checkpoint, find_checkpoint
from visdiv_assets.embedding.clip.images import ClipImages
from visdiv_assets.embedding.clip.model import ClipModel
from visdiv_assets.embedding.clip.texts import ClipTexts
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.errors import ModelError

ONNX, TORCHSCRIPT = "sscd_disc_mixup_int8", "sscd_disc_mixup"


def resolve_model(name: str, device: str) -> str:
    """The embedder that a setting means on a device ("cpu", "cuda", "cuda:1"); `auto` is the one that suits it."""
    if name == "auto":
        return ONNX if device == "cpu" else TORCHSCRIPT
    return name


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
        batch_size: images per call; 0 for what suits the device.

    Raises:
        ModelError: the name is unknown, the device cannot be used, or the weights are not to be had.
    """
    device = resolve_device(device)
    name = resolve_model(name, device)
    if name == ONNX:
        if device != "cpu":
            raise ModelError(
                f"sscd_disc_mixup_int8 runs on the CPU only, not on {device}: set VISDIV_DEVICE=cpu, or "
                "VISDIV_SSCD_MODEL=sscd_disc_mixup"
            )
        from visdiv_assets.embedding.sscd.onnx import OnnxSscd

        return OnnxSscd(batch_size)
    if name == TORCHSCRIPT:
        from visdiv_assets.embedding.sscd.torchscript import TorchSscd
        from visdiv_assets.embedding.weights import torchscript_weights

        return TorchSscd(torchscript_weights(weights, weights_folder), device, batch_size)
    raise ModelError(f"{name!r} is not an embedder: use auto, sscd_disc_mixup_int8 or sscd_disc_mixup")


def load_clip_images(name: str, *, device: str = "auto", crop: str = "crop", batch_size: int = 0) -> Embedder:
    """Load a CLIP's embedder of images.

    Args:
        name: a folder, or a model on the Hugging Face Hub.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        crop: `crop`, `pad` or `squash`; see `clip_pixels`.
        batch_size: images per call; 0 for what suits the device.

    Raises:
        NoClipWeightsError: there are no weights to be had.
        ModelError: they are not those of a CLIP with a tower for images, or the device cannot be used.
    """
    return ClipImages(_clip(find_checkpoint(name), resolve_device(device)), crop, batch_size)


def load_clip_texts(name: str, *, device: str = "auto", windows: bool = False, batch_size: int = 0) -> ClipTexts:
    """Load a CLIP's embedder of texts.

    Args:
        name: a folder, or a model on the Hugging Face Hub.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        windows: whether long texts are read in overlapping windows.
        batch_size: texts per call; 0 for what suits the device.

    Raises:
        NoClipWeightsError: there are no weights to be had.
        ModelError: they are not those of a CLIP with a tower for texts, or the device cannot be used.
    """
    return ClipTexts(_clip(find_checkpoint(name), resolve_device(device)), windows=windows, batch_size=batch_size)


@lru_cache(maxsize=1)
def _clip(checkpoint: Checkpoint, device: str) -> ClipModel:
    """The model of a checkpoint, loaded once in a process: images and texts share it."""
    return ClipModel(checkpoint, device)
