"""Find CLIP weights in a folder or on the Hugging Face Hub, and identify them by a digest.

A model of the Hub is searched in the local cache of huggingface_hub first. If it is not there, the Hub is asked once,
for at most a few seconds, and the necessary files are downloaded into that cache.
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

from visdiv_assets.errors import ConfigError, ModelError, VisdivError
from visdiv_assets.extras import check_extra

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Seconds to wait for the Hub's first response. A name with many addresses may take one timeout for each.
HUB_SECONDS = 5.0
#: Files of weights; the first that exists is used. An index names the shards of the weights.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
#: Possible files of the image preprocessing and of the tokenizer; one of each suffices.
IMAGE_FILES = ("preprocessor_config.json", "processor_config.json")
TEXT_FILES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model", "vocab.txt")
#: Files that are downloaded beside the weights.
BESIDE_A_TOKENIZER = ("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
SMALL_FILES = ("config.json", *IMAGE_FILES, *TEXT_FILES, *BESIDE_A_TOKENIZER)

#: Advice for a machine that cannot reach the Hub.
DOWNLOAD_ADVICE = (
    "download them on a machine with a network (`hf download openai/clip-vit-base-patch32 --local-dir FOLDER`) and set "
    "VISDIV_CLIP_MODEL to the folder, or set it to nothing to skip CLIP"
)


class NoClipWeightsError(ModelError):
    """CLIP cannot be loaded: no weights can be found, or torch or transformers is not installed.

    Stages that use CLIP are skipped; all others run.
    """


@dataclass(frozen=True)
class Checkpoint:
    """A CLIP-like model on disk.

    Attributes:
        name: "owner/name" for a model of the Hub; else the folder's name.
        folder: the folder with its files.
        digest: the first 12 hex characters of the SHA-256 over its files of weights, in the order of their names.
    """

    name: str
    folder: Path
    digest: str

    @property
    def weights_id(self) -> str:
        """The part of a model_id that names the weights; the model_ids of both towers begin with it."""
        return f"{self.name}@{self.digest}"

    def require(self, files: Collection[str]) -> None:
        """Check that the folder has at least one of some files.

        Raises:
            ModelError: it has none of them.
        """
        if not _has_one(self.folder, files):
            raise _missing_file_error(self.folder, tuple(files))


def weights_of(model_id: str) -> str:
    """Return the part of a CLIP's model_id that names its weights, "name@digest".

    Image and text vectors may be compared if this part of their model_ids is equal. The rest says how images were
    resized or texts were truncated.
    """
    return model_id.rpartition("/")[0]


def same_weights(model_id: str, other: str) -> bool:
    """Return whether two model_ids, of images or texts, name the same CLIP weights."""
    return "@" in weights_of(model_id) and weights_of(model_id) == weights_of(other)


def find_checkpoint(setting: str) -> Checkpoint:
    """Find the CLIP checkpoint of a setting.

    Args:
        setting: a folder, or the name of a model on the Hub; empty for none.

    Raises:
        NoClipWeightsError: the setting is empty, torch or transformers is not installed, or the model is not on this
            machine and the Hub cannot be reached.
        ModelError: the folder lacks a file, or the Hub has no such model.
    """
    if not setting:
        raise NoClipWeightsError("no CLIP weights: VISDIV_CLIP_MODEL is empty")
    try:
        for library in ("torch", "transformers"):
            check_extra(library, "clip")
    except ConfigError as missing:
        raise NoClipWeightsError(f"CLIP cannot be loaded: {missing}, or set VISDIV_CLIP_MODEL='' to skip it") from None
    folder = Path(setting).expanduser()
    if folder.is_dir():
        return _read_checkpoint(folder.absolute().name, str(folder.absolute()))
    if setting.count("/") > 1 or setting.startswith((".", "/", "~")):
        raise ModelError(f"VISDIV_CLIP_MODEL names {setting}, which is not a folder: correct the path")
    found = _find_on_hub(setting)
    if isinstance(found, str):
        raise NoClipWeightsError(found)
    return _read_checkpoint(setting, str(found))


def is_on_disk(setting: str) -> bool:
    """Return whether the checkpoint of a setting is on this machine; nothing is requested or downloaded.

    Raises:
        ModelError: the name cannot be a model's.
    """
    return Path(setting).expanduser().is_dir() or _find_in_cache(setting) is not None


@lru_cache(maxsize=4)
def _read_checkpoint(name: str, folder: str) -> Checkpoint:
    """Check the files of a folder and hash its weights, once in a process, since they may be gigabytes."""
    path = Path(folder)
    if not _has_one(path, ("config.json",)):
        raise _missing_file_error(path, ("config.json",))
    digest = hashlib.sha256()
    for file in _weight_files(path):
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return Checkpoint(name, path, digest.hexdigest()[:12])


def _weight_files(folder: Path) -> list[Path]:
    """Return the files of weights in a folder, sorted by name.

    Raises:
        ModelError: one is missing.
    """
    found = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise _missing_file_error(folder, ("model.safetensors", "pytorch_model.bin"))
    if found.suffix != ".json":
        return [found]
    try:
        names = sorted(set(json.loads(found.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{found} is damaged: download it again") from None
    for name in names:
        if not (folder / name).is_file():
            raise _missing_file_error(folder, (name,))
    return [folder / name for name in names]


def _missing_file_error(folder: Path, files: tuple[str, ...]) -> ModelError:
    return ModelError(f"{folder} lacks {' or '.join(files)}: VISDIV_CLIP_MODEL needs all files of the published model")


@lru_cache(maxsize=4)
def _find_on_hub(name: str) -> Path | str:
    """Return the folder of a model of the Hub, downloaded if necessary, or the reason why there is none.

    The result is remembered, so that the Hub is asked once in a process.

    Raises:
        ModelError: the Hub has no such model.
    """
    cached = _find_in_cache(name)
    if cached is not None and all(_has_one(cached, files) for files in (IMAGE_FILES, TEXT_FILES)):
        return cached
    try:
        return _download(name)
    except Exception as error:  # Many causes: name resolution, proxies, timeouts, a full cache.
        if cached is not None:
            return cached
        if isinstance(error, VisdivError):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        line = f"no CLIP weights: {name} is not on this machine and cannot be downloaded ({reason}): {DOWNLOAD_ADVICE}"
        logger.warning("%s", line)
        return line


def _find_in_cache(name: str) -> Path | None:
    """Return the folder of a model in the local cache; None if its config or weights are not there.

    Raises:
        ModelError: the name cannot be a model's.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
        return folder if _has_one(folder, ("config.json",)) and _weight_files(folder) else None
    except HFValidationError:
        raise ModelError(
            f"VISDIV_CLIP_MODEL={name!r} is neither a folder nor the name of a model: write the name as <owner>/<name>"
        ) from None
    except (OSError, VisdivError):
        return None


def _has_one(folder: Path, files: Collection[str]) -> bool:
    return any((folder / file).is_file() for file in files)


def _download(name: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        listed = call_with_timeout(HUB_SECONDS, lambda: HfApi().model_info(name, timeout=HUB_SECONDS))
    except RepositoryNotFoundError:
        raise ModelError(
            f"VISDIV_CLIP_MODEL={name!r} is neither a folder nor a model of the Hub that you may read: correct the name"
        ) from None
    held = {file.rfilename for file in listed.siblings or []}
    weights = next((file for file in WEIGHTS if file in held), None)
    if weights is None:
        raise ModelError(
            f"the model {name} of the Hub has neither model.safetensors nor pytorch_model.bin: use another model"
        )
    logger.warning("downloading the CLIP weights %s from the Hugging Face Hub", name)
    stem, _, ending = weights.removesuffix(".index.json").rpartition(".")
    pieces = [f"{stem}*-of-*.{ending}"] if weights.endswith(".index.json") else []
    wanted = [*SMALL_FILES, weights, *pieces]
    return Path(snapshot_download(name, allow_patterns=wanted, etag_timeout=HUB_SECONDS))


def call_with_timeout(seconds: float, function: Callable[[], Result]) -> Result:
    """Call a function in a thread, and return its result or raise its error. After the timeout the thread runs on.

    Raises:
        TimeoutError: the function did not return in time.
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
        raise TimeoutError(f"no response in {seconds:g} s")
    if isinstance(ended[0], Exception):
        raise ended[0]
    return ended[0]
