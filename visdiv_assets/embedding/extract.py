"""Vectors of the images of a folder or of a list of files, for use from a notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visdiv_assets.embedding.file_stream import FileStream, Images, Unreadable, image_files
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.embedding.vector_cache import VectorCache
from visdiv_assets.imaging.decode import to_rgb
from visdiv_assets.imaging.limits import DEFAULT_LIMITS, DecodeLimits, decoded_model_id
from visdiv_assets.progress import Progress, progress, showing, silent
from visdiv_assets.threads import thread_count

if TYPE_CHECKING:
    from PIL.Image import Image


class Extracted:
    """The vectors of some images, and which file each belongs to.

    It unpacks into its first three attributes, and NumPy takes it as the array `vectors`, so that it can be passed to
    whatever takes embeddings.

    Attributes:
        vectors: float32 [n, dimension], unit length, one row for each readable file.
        paths: the n readable files, in the order of the rows.
        unreadable: the other files.
        model_id: the model, its weights and its preprocessing.
    """

    def __init__(
        self, vectors: np.ndarray, paths: list[Path], unreadable: list[Unreadable], model_id: str = ""
    ) -> None:
        self.vectors, self.paths, self.unreadable, self.model_id = vectors, paths, unreadable, model_id

    def __iter__(self) -> Iterator[Any]:
        return iter((self.vectors, self.paths, self.unreadable))

    def __len__(self) -> int:
        return len(self.vectors)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.vectors, dtype, copy=copy)

    def __repr__(self) -> str:
        rows, dimension = self.vectors.shape
        return f"Extracted({rows} vectors of {dimension} dimensions, {len(self.unreadable)} unreadable files)"


class ImageEmbedder:
    """A loaded model that embeds folders, lists of files and images.

    Attributes:
        embedders: the model, once for each device.
        model_id: the model, its weights and its preprocessing.
        dimension: length of a vector.
    """

    def __init__(
        self,
        embedder: Embedder | Sequence[Embedder],
        *,
        threads: int = 0,
        cache: str | Path | None = None,
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        """Use a model, such as that of `embedding.load_clip_images`.

        Args:
            embedder: the model, or one for each of several devices.
            threads: threads that decode images, and run a model on the CPU; 0 for one per core.
            cache: folder in which vectors are kept by the content of the images, so that an image is embedded once;
                None to keep none.
            limits: larger images are unreadable; they also say how images become RGB.
        """
        self.embedders = [embedder] if isinstance(embedder, Embedder) else list(embedder)
        self.model_id = decoded_model_id(self.embedders[0].model_id, limits.decoding)
        self.dimension = self.embedders[0].dimension
        self._threads = max(1, thread_count(threads) // len(self.embedders))
        self._cache = None if cache is None else Path(cache)
        self._limits = limits

    def extract(self, images: Images, *, progress: bool = True) -> Extracted:
        """Embed image files.

        Args:
            images: a folder, whose images are found by ending or content in it and its subfolders, in sorted order and
                without hidden files; or a list of files, in its order.
            progress: whether to show progress on standard error.

        Returns:
            The vectors float32 [n, dimension], unit length; the n files that they belong to; and the files that cannot
            be read. Memory: 4 bytes per dimension and image, and a few images at a time.

        Raises:
            InputError: there is no such folder, or it holds no image.
            ModelError: the device does not have enough memory.
            StorageError: the cache is damaged or cannot be written.
        """
        files = image_files(images)
        vectors = np.empty((len(files), self.dimension), np.float32)
        with self.stream(files, progress=progress) as stream:
            for indices, found in stream.run(self.embedders):
                vectors[indices] = found
        unreadable = stream.unreadable
        readable = [index for index in range(len(files)) if index not in unreadable]
        return Extracted(
            vectors[readable] if unreadable else vectors,
            [files[index] for index in readable],
            [unreadable[index] for index in sorted(unreadable)],
            self.model_id,
        )

    def embed(self, images: Sequence[Image]) -> np.ndarray:
        """Embed images of Pillow, of any mode and size: float32 [n, dimension], unit length.

        Transparent pixels are laid on white, as in files. The EXIF orientation is not applied.
        """
        return self.embedders[0].embed([to_rgb(image) for image in images])

    @contextmanager
    def stream(self, files: Sequence[Path], *, progress: bool = True) -> Iterator[FileStream]:
        """Open a stream that embeds files, and show its progress while the block runs; see `FileStream.run`."""
        cache = VectorCache(self._cache, self.model_id, self.dimension) if self._cache else None
        with _shown(len(files)) if progress else nullcontext(silent) as advance:
            yield FileStream(files, threads=self._threads, limits=self._limits, cache=cache, advance=advance)


class SSCDEmbedder(ImageEmbedder):
    """SSCD, which embeds copies of an image close to each other.

    Example:
        >>> from visdiv_assets import SSCDEmbedder
        >>> embedder = SSCDEmbedder(device="auto", batch_size=32)
        >>> vectors, paths, unreadable = embedder.extract("photos")
        >>> [path.name for path in paths], [file.path.name for file in unreadable]
        (['blue.png', 'red.png'], ['damaged.png'])
    """

    def __init__(
        self,
        device: str = "auto",
        batch_size: int = 0,
        *,
        model: str = "auto",
        weights: str = "",
        weights_folder: str = "data/local/weights",
        threads: int = 0,
        cache: str | Path | None = None,
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        """Load the model.

        Args:
            device: "auto" (CUDA if available, else the CPU), "cpu", "cuda", "cuda:N", or "cuda:all" for all CUDA
                devices of the machine.
            batch_size: images per call of the model; 0 for 4 on a CPU and 64 on CUDA.
            model: "sscd_disc_mixup_int8" (ONNX, CPU), "sscd_disc_mixup" (TorchScript), or "auto": the first on a CPU,
                the second on CUDA.
            weights: file with the TorchScript weights; empty to download them once.
            weights_folder: where downloaded weights are kept.
            threads: as for `ImageEmbedder`.
            cache: as for `ImageEmbedder`.
            limits: as for `ImageEmbedder`.

        Raises:
            ConfigError: the model needs torch, which is not installed.
            ModelError: the model is unknown or cannot be loaded, or the device cannot be used.
        """
        from visdiv_assets import embedding
        from visdiv_assets.devices import ALL_DEVICES, cuda_devices

        devices = cuda_devices() if device == ALL_DEVICES else [device]
        loaded = [
            embedding.load(model, device=name, weights=weights, weights_folder=weights_folder, batch_size=batch_size)
            for name in devices
        ]
        super().__init__(loaded, threads=threads, cache=cache, limits=limits)


def extract(
    images: Images,
    *,
    device: str = "auto",
    batch_size: int = 0,
    cache: str | Path | None = None,
    progress: bool = True,
) -> Extracted:
    """Embed the images of a folder or of a list of files with SSCD, loaded for this call.

    Args:
        images: a folder or files; see `ImageEmbedder.extract`.
        device: where the model runs; see `SSCDEmbedder`.
        batch_size: images per call of the model; 0 for a default.
        cache: folder in which vectors are kept by the content of the images; None to keep none.
        progress: whether to show progress on standard error.

    Raises:
        InputError: there is no such folder, or it holds no image.
        ModelError: the model cannot be loaded, or the device cannot be used.

    Example:
        >>> import visdiv_assets
        >>> found = visdiv_assets.extract("photos")
        >>> len(found.vectors) == len(found.paths), found.unreadable[0].status
        (True, 'truncated')
    """
    files = image_files(images)
    return SSCDEmbedder(device, batch_size, cache=cache).extract(files, progress=progress)


@contextmanager
def _shown(files: int) -> Iterator[Progress]:
    """Show the progress on standard error."""
    with showing(sys.stderr), progress("embedding", files, "image") as advance:
        yield advance
