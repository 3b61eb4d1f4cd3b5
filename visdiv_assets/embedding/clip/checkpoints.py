"""CLIP weights: a folder, or a model of the Hugging Face Hub, and the proof of which they are.

A Hub's model is looked for in the local cache of huggingface_hub first. If it is not there, the Hub is asked once, for
a few seconds at most; then the files that are needed are fetched into that cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from visdiv_assets.errors import ModelError, VisdivError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Seconds that the Hub has for its first answer. A name that resolves to many addresses may take one time-out for each.
HUB_SECONDS = 5.0
#: Files that hold the weights, the first that is there; an index names the files that it is cut into.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
#: How the two kinds of images' preprocessing and the tokenizers are stored; one of each is enough.
IMAGE_FILES = ("preprocessor_config.json", "processor_config.json")
TEXT_FILES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model", "vocab.txt")
#: What is fetched beside the weights.
BESIDE_A_TOKENIZER = ("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
SMALL_FILES = ("config.json", *IMAGE_FILES, *TEXT_FILES, *BESIDE_A_TOKENIZER)

HOW_TO_GET_THEM = (
    "fetch them on a machine with a network (`hf download openai/clip-vit-base-patch32 --local-dir FOLDER`) and set "
    "VISDIV_CLIP_MODEL to the folder, or set it to nothing to leave CLIP out"
)


class NoClipWeightsError(ModelError):
    """There are no CLIP weights to be had; whatever needs none can go on."""


@dataclass(frozen=True)
class Checkpoint:
    """A CLIP or a model like it, as it lies on a disk.

    Attributes:
        name: as it is set if it is of the Hub, "owner/name"; else the folder's own name.
        folder: where its files are.
        digest: the first 12 hex characters of the SHA-256 over its files of weights, in the order of their names.
    """

    name: str
    folder: Path
    digest: str

    @property
    def weights_id(self) -> str:
        """What names the weights in a model_id: the model_ids of both towers begin with it."""
        return f"{self.name}@{self.digest}"

    def require(self, files: Collection[str]) -> None:
        """Refuse a folder that has none of some files.

        Raises:
            ModelError: it lacks them.
        """
        if not _has_one(self.folder, files):
            raise _lacks(self.folder, tuple(files))


def weights_of(model_id: str) -> str:
    """The part of a CLIP's model_id that names its weights, "name@digest".

    Vectors of images and of texts may be compared if this part of their model_ids is the same: what follows says how
    the images were brought to size, or the texts cut.
    """
    return model_id.rpartition("/")[0]


def same_weights(model_id: str, other: str) -> bool:
    """Whether two model_ids, of images and of texts, name the same CLIP."""
    return "@" in weights_of(model_id) and weights_of(model_id) == weights_of(other)


def find_checkpoint(setting: str) -> Checkpoint:
    """The CLIP that a setting names.

    Args:
        setting: a folder, or the name of a model on the Hub; empty: none.

    Raises:
        NoClipWeightsError: none is wanted, or the model is not on this machine and the Hub does not answer.
        ModelError: the folder lacks a file, or the Hub has no such model.
    """
    if not setting:
        raise NoClipWeightsError("no CLIP weights: VISDIV_CLIP_MODEL is empty")
    folder = Path(setting).expanduser()
    if folder.is_dir():
        return _checkpoint(folder.absolute().name, str(folder.absolute()))
    if setting.count("/") > 1 or setting.startswith((".", "/", "~")):
        raise ModelError(f"VISDIV_CLIP_MODEL names {setting}, which is not a folder")
    found = _of_the_hub(setting)
    if isinstance(found, str):
        raise NoClipWeightsError(found)
    return _checkpoint(setting, str(found))


@lru_cache(maxsize=4)
def _checkpoint(name: str, folder: str) -> Checkpoint:
    """Check what a folder holds and hash its weights, once in a process: they may be gigabytes."""
    path = Path(folder)
    if not _has_one(path, ("config.json",)):
        raise _lacks(path, ("config.json",))
    digest = hashlib.sha256()
    for file in _weight_files(path):
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return Checkpoint(name, path, digest.hexdigest()[:12])


def _weight_files(folder: Path) -> list[Path]:
    """The files of weights in a folder, by name.

    Raises:
        ModelError: one is missing.
    """
    found = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise _lacks(folder, ("model.safetensors", "pytorch_model.bin"))
    if found.suffix != ".json":
        return [found]
    try:
        names = sorted(set(json.loads(found.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{found} is damaged: fetch it again") from None
    for name in names:
        if not (folder / name).is_file():
            raise _lacks(folder, (name,))
    return [folder / name for name in names]


def _lacks(folder: Path, files: tuple[str, ...]) -> ModelError:
    return ModelError(
        f"{folder} lacks {' or '.join(files)}: VISDIV_CLIP_MODEL needs all files of a model as it is published"
    )


@lru_cache(maxsize=4)
def _of_the_hub(name: str) -> Path | str:
    """Where a model of the Hub lies, fetched if need be; a line that says why there is none. Tried once in a process.

    Raises:
        ModelError: the Hub has no such model.
    """
    cached = _cached(name)
    if cached is not None and all(_has_one(cached, files) for files in (IMAGE_FILES, TEXT_FILES)):
        return cached
    try:
        return _fetched(name)
    except Exception as error:  # Whatever keeps the Hub from answering: names, proxies, time-outs, a full cache.
        if cached is not None:
            return cached
        if isinstance(error, VisdivError):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        line = f"no CLIP weights: {name} is not on this machine, and the Hub gives none ({reason}): {HOW_TO_GET_THEM}"
        logger.warning("%s", line)
        return line


def _cached(name: str) -> Path | None:
    """Where the local cache has a model's config and weights; None if it has not.

    Raises:
        ModelError: no model can have that name.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
        return folder if _has_one(folder, ("config.json",)) and _weight_files(folder) else None
    except HFValidationError:
        raise ModelError(f"VISDIV_CLIP_MODEL={name!r} is neither a folder nor the name of a model") from None
    except (OSError, VisdivError):
        return None


def _has_one(folder: Path, files: Collection[str]) -> bool:
    return any((folder / file).is_file() for file in files)


def _fetched(name: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        listed = within(HUB_SECONDS, lambda: HfApi().model_info(name, timeout=HUB_SECONDS))
    except RepositoryNotFoundError:
        raise ModelError(
            f"VISDIV_CLIP_MODEL={name!r} is neither a folder nor a model of the Hub that you may read: correct it"
        ) from None
    held = {file.rfilename for file in listed.siblings or []}
    weights = next((file for file in WEIGHTS if file in held), None)
    if weights is None:
        raise ModelError(
            f"the model {name} of the Hub has neither model.safetensors nor pytorch_model.bin: use another"
        )
    logger.warning("fetching the CLIP weights %s from the Hugging Face Hub", name)
    stem, _, ending = weights.removesuffix(".index.json").rpartition(".")
    pieces = [f"{stem}*-of-*.{ending}"] if weights.endswith(".index.json") else []
    wanted = [*SMALL_FILES, weights, *pieces]
    return Path(snapshot_download(name, allow_patterns=wanted, etag_timeout=HUB_SECONDS))


def within(seconds: float, function: Callable[[], Result]) -> Result:
    """What a function returns, or its error, if it comes in time; it is left alone after that.

    Raises:
        TimeoutError: it does not come in time.
    """
    ended: list[Result | Exception] = []

    def work() -> None:
        try:
            ended.append(function())
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=work, name="visdiv-hub", daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise TimeoutError(f"no answer in {seconds:g} s")
    if isinstance(ended[0], Exception):
        raise ended[0]
    return ended[0]
