"""Load an embedder by name and device. The libraries that run models are imported only when one is loaded."""

from __future__ import annotations

from functools import lru_cache

from visdiv_assets.devices import resolve_device
from visdiv_assets.embedding.clip.checkpoints import Checkpoint, find_checkpoint
from visdiv_assets.embedding.clip.images import ClipImages
from visdiv_assets.embedding.clip.model import ClipModel
from visdiv_assets.embedding.clip.texts import ClipTexts
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.errors import ModelError
from visdiv_assets.extras import check_extra
from visdiv_assets.imaging.limits import Decoding, decoded_model_id

ONNX, TORCHSCRIPT = "sscd_disc_mixup_int8", "sscd_disc_mixup"


def resolve_model(name: str, device: str) -> str:
    """Return the embedder's name for a setting and a device ("cpu", "cuda", "cuda:1"); `auto` depends on the device."""
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
    decoding: Decoding = "shown",
) -> Embedder:
    """Load an embedder.

    Args:
        name: `sscd_disc_mixup_int8` (ONNX, CPU), `sscd_disc_mixup` (TorchScript), or `auto`: the first on a CPU, the
            second on CUDA.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        weights: file with the TorchScript weights; empty to download them once.
        weights_folder: folder for downloaded weights.
        batch_size: images per call; 0 for a default that depends on the device.
        decoding: how its images are decoded; its model_id says so.

    Raises:
        ConfigError: the embedder needs torch, which is not installed.
        ModelError: the name is unknown, the device cannot be used, or the weights cannot be found.
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

        return _of_decoded(OnnxSscd(batch_size), decoding)
    if name == TORCHSCRIPT:
        # Before the weights, which may have to be downloaded.
        check_extra("torch", "gpu")
        from visdiv_assets.embedding.sscd.torchscript import TorchSscd
        from visdiv_assets.embedding.weights import torchscript_weights

        return _of_decoded(TorchSscd(torchscript_weights(weights, weights_folder), device, batch_size), decoding)
    raise ModelError(f"{name!r} is not an SSCD model: use auto, sscd_disc_mixup_int8 or sscd_disc_mixup")


def load_clip_images(
    name: str, *, device: str = "auto", crop: str = "crop", batch_size: int = 0, decoding: Decoding = "shown"
) -> Embedder:
    """Load the image embedder of a CLIP model.

    Args:
        name: a folder, or a model on the Hugging Face Hub.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        crop: `crop`, `pad` or `squash`; see `clip.preprocessing`.
        batch_size: images per call; 0 for a default that depends on the device.
        decoding: how its images are decoded; its model_id says so.

    Raises:
        NoClipWeightsError: there are no weights, or torch or transformers is not installed.
        ModelError: the weights have no image tower, or the device cannot be used.
    """
    return _of_decoded(
        ClipImages(_load_clip(find_checkpoint(name), resolve_device(device)), crop, batch_size), decoding
    )


def load_clip_texts(
    name: str, *, device: str = "auto", windows: bool = False, prefix: str = "", batch_size: int = 0
) -> ClipTexts:
    """Load the text embedder of a CLIP model.

    Args:
        name: a folder, or a model on the Hugging Face Hub.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        windows: whether long texts are read in overlapping windows.
        prefix: words before each text.
        batch_size: texts per call; 0 for a default that depends on the device.

    Raises:
        NoClipWeightsError: there are no weights, or torch or transformers is not installed.
        ModelError: the weights have no text tower, or the device cannot be used.
    """
    model = _load_clip(find_checkpoint(name), resolve_device(device))
    return ClipTexts(model, windows=windows, prefix=prefix, batch_size=batch_size)


def _of_decoded(embedder: Embedder, decoding: Decoding) -> Embedder:
    """Name the decoding of its images in the model_id of an embedder."""
    embedder.model_id = decoded_model_id(embedder.model_id, decoding)
    return embedder


@lru_cache(maxsize=1)
def _load_clip(checkpoint: Checkpoint, device: str) -> ClipModel:
    """Load the model of a checkpoint, once in a process: images and texts share it."""
    return ClipModel(checkpoint, device)
