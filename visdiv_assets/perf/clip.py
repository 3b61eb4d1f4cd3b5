"""Throughput of CLIP's image stream against the limit of the cores and against a loop with transformers.

The model has the architecture of the default one, ViT-B/32, and random weights, on which speed does not depend, so that
nothing is downloaded. The module `embedding` describes the method.
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

#: The preprocessing of OpenAI's checkpoints.
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
        images: number of images of each format; it should give every core full batches, as a shard does.
        rounds: number of times that everything is measured.
        progress: called after every round.

    Raises:
        ConfigError: torch or transformers is not installed.
    """
    for library in ("torch", "transformers"):
        check_extra(library, "clip")
    with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
        _save_random_vit(Path(folder))
        embedder = load_clip_images(folder, device="cpu")
        loop = _load_transformers_loop(folder)
        return measure_stream("CLIP ViT-B/32", embedder, loop, images, rounds, progress)


def _save_random_vit(folder: Path) -> None:
    """Save an image tower with random weights, 350 MB; the defaults of transformers are those of ViT-B/32."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with quiet():
        CLIPVisionModelWithProjection(CLIPVisionConfig()).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR), encoding="utf-8")


def _load_transformers_loop(folder: str) -> Loop:
    """Load model and processor as a script would, with torch's defaults, which use all cores for one image."""
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
