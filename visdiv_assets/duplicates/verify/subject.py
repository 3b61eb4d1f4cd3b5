"""An image as verification takes it: local features and a thumbnail at once, pixels when they are needed."""

from __future__ import annotations

import io
from functools import cached_property
from typing import TYPE_CHECKING

from visdiv_assets.duplicates.verify.matching import FeatureSet, feature_set
from visdiv_assets.duplicates.verify.params import DEFAULT_PARAMS, VerifyParams
from visdiv_assets.duplicates.verify.prepared import PreparedImage, prepare_pixels
from visdiv_assets.imaging.local_features import extract_features, unpack_features
from visdiv_assets.imaging.resize import fit

if TYPE_CHECKING:
    from PIL.Image import Image


class Subject:
    """One image of a pair: immutable, and safe to share among threads.

    Attributes:
        features: the packed local features.
        thumbnail: the thumbnail, prepared.
    """

    def __init__(
        self,
        features: bytes,
        thumbnail: PreparedImage,
        pixels: PreparedImage | None = None,
        params: VerifyParams = DEFAULT_PARAMS,
    ) -> None:
        """Take what is known of an image.

        Args:
            features: packed local features, as `extract_features` returns them.
            thumbnail: the thumbnail, prepared; not readable if the image is not.
            pixels: the image at working size; None if only `screen` will be called.
            params: parameters of the verification.
        """
        self.features = features
        self.thumbnail = thumbnail
        self._pixels = pixels
        self._params = params

    @property
    def readable(self) -> bool:
        """Whether the image could be decoded."""
        return self.thumbnail.readable

    @property
    def pixels(self) -> PreparedImage:
        """The image at working size.

        Raises:
            ValueError: they were not given.
        """
        if self._pixels is None:
            raise ValueError("only the features and the thumbnail of this image are known")
        return self._pixels

    @cached_property
    def plain(self) -> FeatureSet:
        """The features, ready to be matched."""
        return feature_set(unpack_features(self.features))

    @property
    def mirrored(self) -> FeatureSet:
        """The features of the mirrored image; cheap to make, so that they are not kept."""
        return feature_set(unpack_features(self.features).mirrored())

    @property
    def inverted(self) -> FeatureSet:
        """The features of the negative; cheap to make, so that they are not kept."""
        return feature_set(unpack_features(self.features).inverted())


def prepare(image: Image | None, params: VerifyParams = DEFAULT_PARAMS) -> Subject:
    """Prepare an image for comparison, with features and a thumbnail made from its pixels.

    Args:
        image: image of any size; other modes are converted to RGB. None for an image that could not be read.
        params: parameters of the verification.
    """
    from PIL.Image import Resampling

    if image is None or image.width < 1 or image.height < 1:
        nothing = PreparedImage(params=params)
        return Subject(b"", nothing, nothing, params)
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    small = rgb.resize(fit(rgb.size, params.preparation.thumbnail_side), Resampling.BICUBIC, reducing_gap=3.0)
    return Subject(extract_features(rgb), prepare_pixels(small, params), prepare_pixels(rgb, params), params)


def stored_subject(features: bytes | None, thumbnail: bytes | None, params: VerifyParams = DEFAULT_PARAMS) -> Subject:
    """Return an image of which the features and the thumbnail are stored, without pixels.

    Args:
        features: packed local features; None if the image is unreadable.
        thumbnail: an encoded image; None if the image is unreadable.
        params: parameters of the verification.
    """
    from PIL import Image

    if features is None or thumbnail is None:
        return Subject(b"", PreparedImage(params=params), None, params)
    image = Image.open(io.BytesIO(thumbnail)).convert("RGB")
    return Subject(features, prepare_pixels(image, params), None, params)
