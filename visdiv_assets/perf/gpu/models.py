"""Models with random weights and the shapes of the published ones; speed does not depend on weights."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

from visdiv_assets.embedding.clip.model import quiet
from visdiv_assets.perf.clip import PROCESSOR

#: The length of SSCD's vectors, the power of its pooling, and the layers of ResNet-50.
DIMENSION, GEM_POWER, RESNET_50 = 512, 3.0, (3, 4, 6, 3)
#: Tokens of CLIP's texts.
TOKENS = 77
BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def sscd_file(folder: Path, *, whole: bool) -> Path:
    """Return a TorchScript file of SSCD's shape, made once: ResNet-50, GeM pooling, and a map to 512 dimensions.

    Args:
        folder: for the file.
        whole: whether it has all layers; else one of each kind.
    """
    path = folder / f"sscd_{'whole' if whole else 'small'}.pt"
    if not path.exists():
        import torch
        from torch import nn
        from transformers import ResNetConfig, ResNetModel

        class Sscd(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.trunk = ResNetModel(ResNetConfig(depths=list(RESNET_50 if whole else (1, 1, 1, 1))))
                self.map = nn.Linear(2048, DIMENSION)

            def forward(self, pixels: torch.Tensor) -> torch.Tensor:
                layers = self.trunk(pixels, return_dict=False)[0]
                with torch.autocast(pixels.device.type, enabled=False):
                    pooled = layers.float().clamp(min=1e-6).pow(GEM_POWER).mean(dim=(2, 3)).pow(1 / GEM_POWER)
                return nn.functional.normalize(self.map(pooled))

        torch.manual_seed(0)
        trace: Any = torch.jit.trace
        with warnings.catch_warnings(), quiet(), torch.inference_mode():
            # torch prefers other formats by now; SSCD was published in this one.
            warnings.simplefilter("ignore")
            traced = trace(Sscd().eval(), torch.zeros(2, 3, 320, 320))
        unfinished = path.with_suffix(".part")
        traced.save(str(unfinished))
        unfinished.rename(path)
    return path


def clip_folder(folder: Path, *, whole: bool) -> Path:
    """Return the folder of a CLIP of the shape of ViT-B/32, both towers, made once; 600 MB with all layers.

    Its tokenizer has one token for each byte.

    Args:
        folder: for the folder.
        whole: whether it has all layers; else two.
    """
    made = folder / f"clip_{'whole' if whole else 'small'}"
    if not made.exists():
        import torch
        from transformers import CLIPConfig, CLIPModel

        unfinished = folder / f"{made.name}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        tokenizer = _byte_tokenizer()
        layers = {} if whole else {"num_hidden_layers": 2}
        ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        torch.manual_seed(0)
        with quiet():
            # The defaults of transformers are those of ViT-B/32.
            config = CLIPConfig(text_config={**layers, **ends}, vision_config=layers)
            CLIPModel(config).save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        (unfinished / "preprocessor_config.json").write_text(json.dumps(PROCESSOR), encoding="utf-8")
        unfinished.rename(made)
    return made


def _byte_tokenizer() -> Any:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), BEGIN, END]
    return CLIPTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], model_max_length=TOKENS
    )
