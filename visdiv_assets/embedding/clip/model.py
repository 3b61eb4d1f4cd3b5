"""Load the model of a CLIP checkpoint: an image tower, a text tower, or both.

transformers loads it, so that every CLIP-like model that it knows can be used (OpenAI's, SigLIP, and others with
`get_image_features` and `get_text_features`). transformers fills weights that the checkpoint lacks with random numbers;
a tower with such weights counts as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from visdiv_assets.devices import torch_device
from visdiv_assets.embedding.clip.checkpoints import Checkpoint
from visdiv_assets.errors import ModelError
from visdiv_assets.extras import check_extra

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

#: Parts of the names of a tower's weights.
_IMAGE_PARTS = ("vision", "visual", "image")
_TEXT_PARTS = ("text",)

#: How every part of a checkpoint is read: as data, never as code that comes with it.
LOCAL_DATA: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}

#: The methods of a model with both towers.
IMAGES, TEXTS = "get_image_features", "get_text_features"


class ClipModel:
    """A checkpoint's towers on a device: half precision on CUDA, float32 on the CPU.

    Attributes:
        checkpoint: the files that it was loaded from.
        device: the device that it runs on.
        kind: transformers' model type, such as "clip", "siglip" or "clip_text_model".
        text_limit: maximum number of tokens of a text, with its begin and end tokens.
    """

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        """Load the weights onto a device ("cpu", "cuda", "cuda:1").

        Raises:
            ConfigError: torch or transformers is not installed.
            ModelError: the weights are damaged or not a CLIP's, or the device cannot be used.
        """
        for library in ("torch", "transformers"):
            check_extra(library, "clip")
        import torch

        self.checkpoint = checkpoint
        self.device = torch_device(device)
        with quiet():
            config, load, methods = _find_architecture(checkpoint)
            self._model, self._missing = _load(checkpoint, load)
        half = self.device.type == "cuda"
        module: torch.nn.Module = self._model
        module.eval().to(device=self.device, dtype=torch.float16 if half else torch.float32)
        self._methods = methods
        self.kind = str(config.model_type)
        self.text_limit = int(getattr(getattr(config, "text_config", config), "max_position_embeddings", 0) or 0)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        found: torch.dtype = self._model.dtype
        return found

    def image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Compute features of normalized images [n, 3, height, width], unscaled: float32 [n, dimension]."""
        return self._features(IMAGES, {"pixel_values": pixels.to(self.dtype)})

    def text_features(self, tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute features of tokenized texts, unscaled: float32 [n, dimension]."""
        return self._features(TEXTS, tokens)

    def require_images(self) -> None:
        """Check that the checkpoint has an image tower.

        Raises:
            ModelError: it has none.
        """
        self._require(IMAGES, "images", _IMAGE_PARTS)

    def require_texts(self) -> None:
        """Check that the checkpoint has a text tower.

        Raises:
            ModelError: it has none.
        """
        self._require(TEXTS, "texts", _TEXT_PARTS)

    def _features(self, method: str, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        import torch

        given = self._methods[method](self._model, inputs)
        # transformers 5 returns the whole output of the tower.
        features: torch.Tensor = given if isinstance(given, torch.Tensor) else given.pooler_output
        return features.float()

    def _require(self, method: str, what: str, parts: tuple[str, ...]) -> None:
        lacking = next((name for name in self._missing if any(part in name for part in parts)), None)
        if method not in self._methods or lacking:
            reason = f": its weights lack {lacking}" if lacking else ""
            raise ModelError(f"{self.checkpoint.name} has no encoder for {what}{reason}; use a checkpoint with both")


#: Calls a tower of a model.
_Tower = Callable[["PreTrainedModel", Mapping[str, Any]], Any]


def _find_architecture(checkpoint: Checkpoint) -> tuple[PretrainedConfig, Any, dict[str, _Tower]]:
    """Return the checkpoint's config, the class that loads it, and a function for each tower, by method name.

    Raises:
        ModelError: it is not a CLIP-like model.
    """
    import torch
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(checkpoint.folder, **LOCAL_DATA)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"transformers does not know the model in {checkpoint.folder / 'config.json'}: {first_line(error)}"
        ) from None
    kind = str(config.model_type)
    class_name = str((config.architectures or [""])[0])
    if kind.endswith("_vision_model") and _maps_to_shared_space(kind, class_name):
        return config, getattr(transformers, class_name), {IMAGES: _single("image_embeds")}
    if kind.endswith("_text_model") and _maps_to_shared_space(kind, class_name):
        return config, getattr(transformers, class_name), {TEXTS: _single("text_embeds")}
    try:
        with torch.device("meta"):
            towers = type(transformers.AutoModel.from_config(config))  # type: ignore[no-untyped-call]
    except (ValueError, RuntimeError, NotImplementedError, ImportError) as error:
        raise ModelError(f"{checkpoint.name} is a {kind}, which cannot be loaded: {first_line(error)}") from None
    lacking = [method for method in (IMAGES, TEXTS) if not hasattr(towers, method)]
    if lacking:
        raise ModelError(
            f"{checkpoint.name} is a {kind} model, not CLIP: it has no {' and no '.join(lacking)}; name a CLIP or "
            "SigLIP model in VISDIV_CLIP_MODEL"
        )
    return config, towers, {IMAGES: _method(IMAGES), TEXTS: _method(TEXTS)}


def _maps_to_shared_space(kind: str, class_name: str) -> bool:
    """Return whether a single tower maps to the space that both share: CLIP needs a projection for it, SigLIP none."""
    import transformers

    known = hasattr(transformers, class_name)
    return known and (class_name.endswith("WithProjection") or kind.startswith("siglip"))


def _single(name: str) -> _Tower:
    def call(model: PreTrainedModel, inputs: Mapping[str, Any]) -> Any:
        output = model(**inputs)
        return output if getattr(output, name, None) is None else getattr(output, name)

    return call


def _method(name: str) -> _Tower:
    return lambda model, inputs: getattr(model, name)(**inputs)


def _load(checkpoint: Checkpoint, load: Any) -> tuple[PreTrainedModel, list[str]]:
    """Load the model, and return it with the names of the weights that the checkpoint lacks.

    Raises:
        ModelError: the weights are damaged, or do not fit the config.
    """
    from safetensors import SafetensorError

    try:
        model, info = load.from_pretrained(checkpoint.folder, output_loading_info=True, weights_only=True, **LOCAL_DATA)
    except (OSError, ValueError, RuntimeError, KeyError, EOFError, SafetensorError) as error:
        raise ModelError(
            f"the weights in {checkpoint.folder} cannot be loaded ({first_line(error)}): download them again"
        ) from None
    except Exception as error:
        # torch's reader of .bin files raises errors of pickle, which have only this base in common.
        if type(error).__module__ not in ("pickle", "_pickle", "zipfile"):
            raise
        raise ModelError(
            f"the weights in {checkpoint.folder} cannot be loaded ({first_line(error)}): download them again"
        ) from None
    return model, sorted(_names(info["missing_keys"]))


def _names(keys: Iterable[Any]) -> Iterator[str]:
    return (key if isinstance(key, str) else str(key[0]) for key in keys)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and its report of missing weights, which `ClipModel` reports itself."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
