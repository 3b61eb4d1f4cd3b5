"""The model of a CLIP checkpoint: a tower for images, one for texts, or one of them alone.

transformers loads it, so whatever it knows as a CLIP (OpenAI's, SigLIP, and others with `get_image_features` and
`get_text_features`) can be used. A tower whose weights are not all in the checkpoint would be filled with random
numbers, so it counts as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from visdiv_assets.devices import torch_device
from visdiv_assets.embedding.clip.checkpoints import Checkpoint
from visdiv_assets.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

#: What the names of a tower's weights have in them.
_IMAGE_PARTS = ("vision", "visual", "image")
_TEXT_PARTS = ("text",)

#: The methods of a model with both towers.
IMAGES, TEXTS = "get_image_features", "get_text_features"


class ClipModel:
    """A checkpoint's towers on a device: half precision on CUDA, float32 on the CPU.

    Attributes:
        checkpoint: where it comes from.
        device: where it runs.
        kind: what transformers calls it: "clip", "siglip", "clip_text_model".
        text_limit: tokens that the text tower takes, those that begin and end a text among them.
    """

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        """Load the weights onto a device ("cpu", "cuda", "cuda:1").

        Raises:
            ModelError: they are no CLIP's, or damaged, or there is no such device.
        """
        import torch

        self.checkpoint = checkpoint
        self.device = torch_device(device)
        with quiet():
            config, load, methods = _architecture(checkpoint)
            self._model, self._missing = _loaded(checkpoint, load)
        half = self.device.type == "cuda"
        module: torch.nn.Module = self._model
        module.eval().to(device=self.device, dtype=torch.float16 if half else torch.float32)
        self._methods = methods
        self.kind = str(config.model_type)
        self.text_limit = int(getattr(getattr(config, "text_config", config), "max_position_embeddings", 0) or 0)

    @property
    def dtype(self) -> torch.dtype:
        """In what the model computes."""
        found: torch.dtype = self._model.dtype
        return found

    def image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of normalized images [n, 3, height, width], as the model has them: float32 [n, dimension]."""
        return self._features(IMAGES, {"pixel_values": pixels.to(self.dtype)})

    def text_features(self, tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Features of tokenized texts, as the model has them: float32 [n, dimension]."""
        return self._features(TEXTS, tokens)

    def require_images(self) -> None:
        """Refuse a checkpoint without a tower for images.

        Raises:
            ModelError: it has none.
        """
        self._require(IMAGES, "images", _IMAGE_PARTS)

    def require_texts(self) -> None:
        """Refuse a checkpoint without a tower for texts.

        Raises:
            ModelError: it has none.
        """
        self._require(TEXTS, "texts", _TEXT_PARTS)

    def _features(self, method: str, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        import torch

        given = self._methods[method](self._model, inputs)
        # transformers 5 gives the whole output of the tower.
        features: torch.Tensor = given if isinstance(given, torch.Tensor) else given.pooler_output
        return features.float()

    def _require(self, method: str, what: str, parts: tuple[str, ...]) -> None:
        lacking = next((name for name in self._missing if any(part in name for part in parts)), None)
        if method not in self._methods or lacking:
            reason = f": its weights lack {lacking}" if lacking else ""
            raise ModelError(f"{self.checkpoint.name} has no tower for {what}{reason}; use a checkpoint with both")


#: Calls a tower of a model.
_Tower = Callable[["PreTrainedModel", Mapping[str, Any]], Any]


def _architecture(checkpoint: Checkpoint) -> tuple[PretrainedConfig, Any, dict[str, _Tower]]:
    """The checkpoint's config, the class that loads it, and how its towers are called, by method.

    Raises:
        ModelError: it is not like a CLIP.
    """
    import torch
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{checkpoint.folder / 'config.json'} is of no model that transformers knows: {first_line(error)}"
        ) from None
    kind = str(config.model_type)
    class_name = str((config.architectures or [""])[0])
    if kind.endswith("_vision_model") and _ends_in_the_common_space(kind, class_name):
        return config, getattr(transformers, class_name), {IMAGES: _single("image_embeds")}
    if kind.endswith("_text_model") and _ends_in_the_common_space(kind, class_name):
        return config, getattr(transformers, class_name), {TEXTS: _single("text_embeds")}
    try:
        with torch.device("meta"):
            towers = type(transformers.AutoModel.from_config(config))  # type: ignore[no-untyped-call]
    except (ValueError, RuntimeError, NotImplementedError, ImportError) as error:
        raise ModelError(f"{checkpoint.name} is a {kind}, which cannot be loaded: {first_line(error)}") from None
    lacking = [method for method in (IMAGES, TEXTS) if not hasattr(towers, method)]
    if lacking:
        raise ModelError(
            f"{checkpoint.name} is a {kind}, not a CLIP: it has no {' and no '.join(lacking)}; name a CLIP or a SigLIP "
            "in VISDIV_CLIP_MODEL"
        )
    return config, towers, {IMAGES: _method(IMAGES), TEXTS: _method(TEXTS)}


def _ends_in_the_common_space(kind: str, class_name: str) -> bool:
    """Whether a single tower ends where the other would meet it: CLIP's only with a projection, SigLIP has none."""
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


def _loaded(checkpoint: Checkpoint, load: Any) -> tuple[PreTrainedModel, list[str]]:
    """The model, and the names of the weights that the checkpoint does not have.

    Raises:
        ModelError: the weights are damaged, or do not fit the config.
    """
    from safetensors import SafetensorError

    try:
        model, info = load.from_pretrained(checkpoint.folder, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, KeyError, EOFError, SafetensorError) as error:
        raise ModelError(
            f"the weights in {checkpoint.folder} cannot be loaded ({first_line(error)}): fetch them again"
        ) from None
    except Exception as error:
        # torch's reader of .bin files raises pickle's errors, which share no base but this.
        if type(error).__module__ not in ("pickle", "_pickle", "zipfile"):
            raise
        raise ModelError(
            f"the weights in {checkpoint.folder} cannot be loaded ({first_line(error)}): fetch them again"
        ) from None
    return model, sorted(_names(info["missing_keys"]))


def _names(keys: Iterable[Any]) -> Iterator[str]:
    return (key if isinstance(key, str) else str(key[0]) for key in keys)


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars and its report of weights off the terminal: what they say is said in our own words."""
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
