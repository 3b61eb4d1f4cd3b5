"""Small CLIP and SigLIP checkpoints with random weights, as folders that transformers wrote.

    folder = small_clip(tmp_path / "clip")          # both towers, 32 dimensions, images of 32 x 32, 16 tokens
    settings.model_copy(update={"clip_model": str(folder)})

The weights are those of a seed, so that two folders of one seed hold the same model. They are drawn larger than for a
training's beginning: different images and texts get clearly different vectors.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visdiv_assets.embedding.clip.model import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Pixels of a side of what the towers for images take.
SIDE = 32
#: Tokens that the towers for texts take.
LIMIT = 16

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
#: Words that are one token each; of any other, each byte is one.
WORDS = ("the", "a", "image", "of", "cat", "dog", "red", "blue")

_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def small_clip(
    folder: Path,
    dimension: int = 32,
    *,
    seed: int = 0,
    side: int = SIDE,
    limit: int = LIMIT,
    towers: Sequence[str] = ("vision", "text"),
    processor: dict[str, Any] | None = None,
) -> Path:
    """Make a CLIP and save it.

    Args:
        folder: is made, and returned.
        dimension: of the vectors.
        seed: of the weights.
        side: of the images that it takes, in pixels.
        limit: tokens that it takes, begin and end among them.
        towers: one alone is saved as CLIPVisionModelWithProjection or CLIPTextModelWithProjection.
        processor: changes of the settings of the processor of images.
    """
    from transformers import (
        CLIPConfig,
        CLIPModel,
        CLIPTextConfig,
        CLIPTextModelWithProjection,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    tokenizer = clip_tokenizer(limit)
    text = {
        **_SMALL,
        "max_position_embeddings": limit,
        "vocab_size": len(tokenizer),
        "projection_dim": dimension,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {**_SMALL, "image_size": side, "patch_size": 8, "projection_dim": dimension}
    with quiet():
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=dimension)
    if "text" not in towers:
        assert isinstance(config.vision_config, CLIPVisionConfig)
        _save(CLIPVisionModelWithProjection(config.vision_config), seed, folder)
    elif "vision" not in towers:
        assert isinstance(config.text_config, CLIPTextConfig)
        _save(CLIPTextModelWithProjection(config.text_config), seed, folder)
    else:
        _save(CLIPModel(config), seed, folder)
    if "text" in towers:
        tokenizer.save_pretrained(folder)
    if "vision" in towers:
        save_processor(
            folder, size={"shortest_edge": side}, crop_size={"height": side, "width": side}, **processor or {}
        )
    return folder


def small_siglip(folder: Path, *, seed: int = 0, side: int = SIDE, limit: int = LIMIT) -> Path:
    """Make a SigLIP of 32 dimensions and save it: squashed images, texts padded to their full length."""
    from transformers import SiglipConfig, SiglipModel

    tokenizer = clip_tokenizer(limit, model_input_names=["input_ids"])
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**_SMALL, **ends, "max_position_embeddings": limit, "vocab_size": len(tokenizer)}
    vision = {**_SMALL, "image_size": side, "patch_size": 8}
    with quiet():
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    _save(model, seed, folder)
    tokenizer.save_pretrained(folder)
    save_processor(
        folder,
        image_processor_type="SiglipImageProcessor",
        do_center_crop=None,
        size={"height": side, "width": side},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return folder


def save_processor(folder: Path, **changes: Any) -> None:
    """Write preprocessor_config.json as OpenAI's CLIP has it, with changes; those that are None leave a setting out."""
    settings = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "do_center_crop": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_convert_rgb": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        **changes,
    }
    kept = {name: value for name, value in settings.items() if value is not None}
    (folder / "preprocessor_config.json").write_text(json.dumps(kept), encoding="utf-8")


def clip_tokenizer(limit: int = LIMIT, **settings: Any) -> Any:
    """CLIP's own tokenizer over bytes and a few words; the token that ends a text has the highest number."""
    from transformers import CLIPTokenizer

    alphabet = _alphabet()
    merges: list[tuple[str, str]] = []
    made: list[str] = []
    for word in WORDS:
        left = word[0] if len(word) > 1 else f"{word}</w>"
        for place in range(1, len(word)):
            right = word[place] + ("</w>" if place == len(word) - 1 else "")
            if (left, right) not in merges:
                merges.append((left, right))
                made.append(left + right)
            left += right
    pieces = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *made, BEGIN, END]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    # The annotation of `merges` knows only strings.
    pairs: Any = merges
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=limit, **settings)


def _alphabet() -> list[str]:
    """The letters that stand for the 256 bytes in byte-level BPE."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def _save(model: PreTrainedModel, seed: int, folder: Path) -> None:
    """Draw the weights and save the model."""
    import torch

    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in sorted(model.named_parameters()):
            if weights.ndim and "norm" not in name and "logit" not in name:
                spread = weights.shape[-1] ** -0.5 if weights.ndim > 1 and "embedding" not in name else 0.5
                weights.copy_(spread * torch.randn(weights.shape, generator=random))
    with quiet():
        model.save_pretrained(folder)
