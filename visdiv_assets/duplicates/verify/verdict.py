"""The verdict of verification: by rare local features where images have texture, else by their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.confidence import with_confidence
from visdiv_assets.duplicates.verify.decision import (
    Features,
    confirm_by_features,
    is_photographic,
    may_agree,
    reason_of_colors,
    reason_of_contents,
)
from visdiv_assets.duplicates.verify.evidence import (
    CONTENTS_DIFFER,
    NO_ALIGNMENT,
    TOO_LITTLE_TEXTURE,
    TOO_SMALL,
    UNREADABLE,
    Evidence,
    unconfirmed,
)
from visdiv_assets.duplicates.verify.geometry import in_pixels, is_plausible, overlap_of
from visdiv_assets.duplicates.verify.matching import Alignment, FeatureSet, align, find_shown
from visdiv_assets.duplicates.verify.measure import Measured, lay_colors, measure, measure_colors, without_marks
from visdiv_assets.duplicates.verify.params import DEFAULT_PARAMS, VerifyParams
from visdiv_assets.duplicates.verify.prepared import PreparedImage
from visdiv_assets.duplicates.verify.rarity import Background, gather_evidence
from visdiv_assets.duplicates.verify.registration import guess_transforms, refine, size_of
from visdiv_assets.duplicates.verify.result import Result, Screened
from visdiv_assets.duplicates.verify.subject import Subject, prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


def verify_pair(image_a: Image | None, image_b: Image | None, params: VerifyParams = DEFAULT_PARAMS) -> Evidence:
    """Decide whether two images are copies; for many pairs, `prepare` each image once and call `verify`.

    Args:
        image_a: image in mode RGB; None if it could not be read.
        image_b: the other image, in the same form.
        params: parameters of the verification.

    Example:
        >>> from PIL import Image
        >>> from visdiv_assets import compare_images
        >>> image = Image.effect_mandelbrot((256, 256), (-2, -1.5, 1, 1.5), 100).convert("RGB")
        >>> evidence = compare_images(image, image.rotate(90))
        >>> evidence.verified, evidence.kind
        (True, 'rotated')
        >>> compare_images(image, Image.radial_gradient("L").convert("RGB")).verified
        False
    """
    return verify(prepare(image_a, params), prepare(image_b, params), params)


def verify(
    a: Subject,
    b: Subject,
    params: VerifyParams = DEFAULT_PARAMS,
    backgrounds: Sequence[Background] = (),
    names: tuple[str, str] = ("", ""),
) -> Evidence:
    """Decide whether two images are copies of one another.

    Local features give the alignment, plain, mirrored or as a negative; if few agree, alignments guessed by the
    correlation of small views are tried, too. Thumbnails are compared under each, and most pairs end there: rejected,
    or confirmed because photographs share features that other images lack. The other pairs are compared at working
    size, window by window and color by color. The decision does not depend on the order of the two images, on earlier
    calls or on threads. OpenCV and NumPy release the GIL; callers that verify pairs in threads of their own should call
    `cv2.setNumThreads(1)`, which keeps each call in one thread.

    Args:
        a: one image, with pixels.
        b: the other, with pixels.
        params: parameters of the verification, those that both images were prepared with.
        backgrounds: images of the kinds of the two, which show what is not rare; without, every feature counts as
            moderately rare.
        names: image_ids of the two, which do not count as background.

    Returns:
        The evidence. No image that could be prepared makes this function raise.
    """
    screened = screen(a, b, params, backgrounds, names)
    return screened if isinstance(screened, Evidence) else compare_pixels(screened, a.pixels, b.pixels, params)


def screen(
    a: Subject,
    b: Subject,
    params: VerifyParams = DEFAULT_PARAMS,
    backgrounds: Sequence[Background] = (),
    names: tuple[str, str] = ("", ""),
) -> Evidence | Screened:
    """Return what `verify` returns if features and thumbnails suffice for it, else what `compare_pixels` goes on from.

    The arguments are those of `verify`. Pixels are not loaded.
    """
    refused = _nothing_to_compare(a, b, params)
    if refused is not None:
        return refused
    # A fixed order, so that the decision does not depend on the order of the arguments.
    swapped = _rank(a) < _rank(b)
    one, two = (b, a) if swapped else (a, b)
    found, aligned, negative = _align(one, two, params)
    screened = Screened(
        swapped=swapped,
        negative=negative,
        found=found.matrix if found is not None else None,
        features=_describe_features(one.thumbnail, two.thumbnail, found),
        weighed=any(background.tells(names) for background in backgrounds),
        may_be_equal=a.features == b.features and a.thumbnail.digest == b.thumbnail.digest,
    )
    needs_pixels = screened.may_be_equal or any(_is_narrow(image.thumbnail, params) for image in (one, two))
    views = one.thumbnail, two.thumbnail.negative() if negative else two.thumbnail
    seen = screened if needs_pixels else _compare_thumbnails(screened, *views, params)
    if isinstance(seen, Evidence):
        return seen
    if found is not None:
        shown = find_shown(one.plain, aligned, found, params.match)
        bits = gather_evidence(shown, one.plain, backgrounds, names, params.photo.assumed_bits)
        screened = replace(screened, features=replace(screened.features, bits=bits))
    if isinstance(seen, Screened):
        return screened
    return _judge_thumbnails(screened, *views, seen, params)


def compare_pixels(
    screened: Screened, a: PreparedImage, b: PreparedImage, params: VerifyParams = DEFAULT_PARAMS
) -> Evidence:
    """Return what `verify` returns for a pair that `screen` did not decide.

    Args:
        screened: the result of `screen`.
        a: one image at working size.
        b: the other.
        params: parameters of the verification.
    """
    one, two = (b, a) if screened.swapped else (a, b)
    if not one.readable or not two.readable:
        return unconfirmed(UNREADABLE)
    if min(*one.size, *two.size, *one.gray.shape, *two.gray.shape) < params.preparation.min_side:
        return unconfirmed(TOO_SMALL)
    if screened.may_be_equal and (one.size, one.digest) == (two.size, two.digest):
        identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        return with_confidence(Evidence(True, "identical_pixels", "", transform=identity, overlap=1.0, agreement=1.0))
    two = two.negative() if screened.negative else two
    guesses = [screened.best] if screened.best is not None else _matrices(screened, one, two, params)
    measured = [_measure_pixels(screened, one, two, guess, params) for guess in guesses]
    best = max(measured, key=_promise, default=None)
    if best is None:
        return Result(screened, params).unconfirmed(NO_ALIGNMENT)
    return _judge(screened, one, two, best, params)


def _nothing_to_compare(a: Subject, b: Subject, params: VerifyParams) -> Evidence | None:
    if not a.readable or not b.readable:
        return unconfirmed(UNREADABLE)
    one, two = a.thumbnail, b.thumbnail
    for image in (one, two):
        # Only a thumbnail of full size may be narrower than the image.
        if min(image.size) < params.preparation.min_side and max(image.size) < params.preparation.thumbnail_side:
            return unconfirmed(TOO_SMALL)
    if min(one.deviation, two.deviation) < params.preparation.min_deviation:
        return unconfirmed(TOO_LITTLE_TEXTURE)
    return None


def _rank(image: Subject) -> tuple[int, bytes, bytes]:
    return image.thumbnail.gray.size, image.thumbnail.digest, image.features


def _is_narrow(thumbnail: PreparedImage, params: VerifyParams) -> bool:
    """Return whether a thumbnail is so narrow, because the image is long, that it shows too little."""
    limits = params.preparation
    return min(thumbnail.size) < limits.narrow_side and max(thumbnail.size) >= limits.thumbnail_side


def _align(one: Subject, two: Subject, params: VerifyParams) -> tuple[Alignment | None, FeatureSet, bool]:
    """Return the alignment that most features agree on, the features of `two` in it, and whether two is a negative."""
    best: Alignment | None = None
    aligned, negative = two.plain, False
    for way in ("plain", "mirrored", "inverted"):
        features: FeatureSet = getattr(two, way)
        found = align(one.plain, features, way == "mirrored", params.match)
        if found is not None and (best is None or found.inliers > best.inliers):
            best, aligned, negative = found, features, way == "inverted"
        if best is not None and best.inliers >= params.match.certain:
            break
    return best, aligned, negative


def _describe_features(one: PreparedImage, two: PreparedImage, found: Alignment | None) -> Features:
    """Return what is known of the features before they are weighed."""
    return Features(
        inliers=found.inliers if found is not None else 0,
        bits=0.0,
        plainness=min(one.plainness, two.plainness),
        flatness=(one.flatness + two.flatness) / 2,
        flattest=max(one.flatness, two.flatness),
        richness=max(one.richness, two.richness),
        side=min(max(one.size), max(two.size)),
    )


def _compare_thumbnails(
    screened: Screened, one: PreparedImage, two: PreparedImage, params: VerifyParams
) -> Evidence | Measured:
    """Return how the thumbnails agree under the best alignment, or why there is no use in going on."""
    measured = [measure(one, two, matrix, params) for matrix in _matrices(screened, one, two, params)]
    best = max(measured, key=_promise, default=None)
    if best is None:
        return Result(screened, params).unconfirmed(NO_ALIGNMENT)
    # Much of a photograph may be covered.
    drawn = not is_photographic(screened.features, params)
    sure = drawn and screened.features.inliers >= params.decision.sure_inliers
    limit = params.decision.aligned_screen_deep if sure else params.decision.screen_deep
    if best.contents.deep >= limit:
        return Result(screened, params).unconfirmed(CONTENTS_DIFFER, best)
    return best


def _judge_thumbnails(
    screened: Screened, one: PreparedImage, two: PreparedImage, found: Measured, params: VerifyParams
) -> Evidence | Screened:
    """Return the evidence of features and thumbnails, or what is known if they do not suffice."""
    if confirm_by_features(screened.features, found.contents, None, params):
        colors = measure_colors(lay_colors(one, two, found), found.contents, params)
        if confirm_by_features(screened.features, found.contents, colors, params):
            marked = found.contents.largest > params.kind.marked
            return Result(screened, params).confirmed(one, two, found, colors, marked=marked)
    return replace(screened, best=found.matrix, thumbnail_share=found.contents.share)


def _matrices(
    screened: Screened, one: PreparedImage, two: PreparedImage, params: VerifyParams
) -> list[NDArray[np.float64]]:
    """Return the alignment by features and, if few features agree, guesses by correlation."""
    matrices = []
    if screened.found is not None and screened.features.inliers >= params.match.few:
        matrices.append(screened.found)
    if screened.features.inliers < params.match.enough:
        matrices += guess_transforms(one, two, params.registration)
    size_one, size_two = size_of(one.gray), size_of(two.gray)
    return [
        matrix
        for matrix in matrices
        if is_plausible(in_pixels(matrix, size_one, size_two), size_two)
        and max(overlap_of(matrix)) >= params.registration.min_overlap
    ]


def _measure_pixels(
    screened: Screened, one: PreparedImage, two: PreparedImage, guess: NDArray[np.float64], params: VerifyParams
) -> Measured:
    """Compare pixels under a refined guess or, if points may have slid along stripes, under the guess itself."""
    refined = refine(one, two, guess, params.registration)
    found = measure(one, two, refined, params)
    sure = screened.features.inliers >= params.decision.sure_inliers
    if sure or refined is guess or found.contents.deep < params.decision.slid_deep:
        return found
    return max(found, measure(one, two, guess, params), key=_promise)


def _judge(
    screened: Screened, one: PreparedImage, two: PreparedImage, found: Measured, params: VerifyParams
) -> Evidence:
    """Return the evidence of pixels under an alignment."""
    features, share = screened.features, screened.thumbnail_share
    result = Result(screened, params)
    if not may_agree(found.contents, params):
        return result.unconfirmed(CONTENTS_DIFFER, found)
    views = lay_colors(one, two, found)
    reason = reason_of_contents(features, found.contents, share, params, marked=False)
    if not reason:
        colors = measure_colors(views, found.contents, params)
        reason = reason_of_colors(features, found.contents, colors, params, marked=False)
        if reason:
            return result.unconfirmed(reason, found, colors)
        return result.confirmed(one, two, found, colors, marked=False)
    for beside, rest in without_marks(views, found.contents, params):
        if reason_of_contents(features, rest, share, params, marked=True):
            continue
        colors = measure_colors(beside, rest, params)
        if not reason_of_colors(features, rest, colors, params, marked=True):
            return result.confirmed(one, two, replace(found, contents=rest), colors, marked=True)
    return result.unconfirmed(reason, found)


def _promise(found: Measured) -> float:
    """Return how much speaks for an alignment: the share of texture that agrees, more so if there is much of it."""
    return float((1 - found.contents.deep) * min(found.contents.windows, 200.0) ** 0.25)
