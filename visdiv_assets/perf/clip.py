"""How much of what the cores allow CLIP's stream of images reaches, and what a loop with transformers reaches.

The model has the shape of the default one, ViT-B/32, and random weights, since speed does not depend on them: nothing
is fetched. What is measured, and how, says `embedding`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from visdiv_assets.embedding import load_clip_images
from visdiv_assets.embedding.clip.model import quiet
from visdiv_assets.extras import check_extra
from visdiv_assets.perf.embedding import Loop, measure_stream
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.progress import Progress, silent

#: How OpenAI's checkpoints prepare images.
PROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 224},
    "crop_size": {"height": 224, "width": 224},
    "resample": 3,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def measure(images: int = 96, rounds: int = 3, progress: Progress = silent) -> list[Figure]:
    """Measure the stream of images on the CPU, on all cores that this process may use.

    Args:
        images: how many of each format; whole batches for every core, as a shard has many more than these.
        rounds: how often everything is measured.
        progress: told of every round.

    Raises:
        ConfigError: torch or transformers is not installed.
    """
    for library in ("torch", "transformers"):
        check_extra(library, "clip")
    with tempfile.TemporaryDirectory(prefix="visdiv-bench-") as folder:
        _random_vit(Path(folder))
        embedder = load_clip_images(folder, device="cpu")
        loop = _transformers(folder)
        return measure_stream("CLIP ViT-B/32", embedder, loop, images, rounds, progress)


def _random_vit(folder: Path) -> None:
    """Save a tower for images with random weights, 350 MB: transformers' defaults are those of ViT-B/32."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with quiet():
        CLIPVisionModelWithProjection(CLIPVisionConfig()).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR), encoding="utf-8")


def _transformers(folder: str) -> Loop:
    """Model and processor as a script would load them: torch's defaults, which use all cores for one image."""
    import torch
    from transformers import AutoImageProcessor, CLIPVisionModelWithProjection

    with quiet():
        processor = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
        model = CLIPVisionModelWithProjection.from_pretrained(folder)

    def embed(image: Image.Image) -> np.ndarray:
        with torch.inference_mode():
            features: torch.Tensor = model(**processor(images=image, return_tensors="pt")).image_embeds
        vectors: np.ndarray = torch.nn.functional.normalize(features).numpy()
        return vectors

    return embed
