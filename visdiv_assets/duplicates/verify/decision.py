"""The rules that decide whether measurements of a pair confirm a copy.

Photographs are confirmed by their features: rare ones that agree on one alignment. Images that consist of parts which
others share (charts, pages, screens, drawings, flags) are confirmed only if their windows agree: everywhere, or except
for what noise, grain, flakes or something put over the image explain, and only in the same colors.
"""

from __future__ import annotations

from dataclasses import dataclass

from visdiv_assets.duplicates.verify.colors import Colors
from visdiv_assets.duplicates.verify.contents import Contents
from visdiv_assets.duplicates.verify.evidence import (
    COLORS_DIFFER,
    COLORS_LOST,
    CONTENTS_DIFFER,
    NOTHING_RARE,
    TOO_LITTLE_TEXTURE,
)
from visdiv_assets.duplicates.verify.params import VerifyParams


@dataclass(frozen=True, slots=True)
class Features:
    """What the local features of a pair say.

    Attributes:
        inliers: number that agree on the alignment.
        bits: how rarely other images show them together, -log2.
        plainness: plainness of the less plain image; see `PreparedImage`.
        flatness: mean flatness of the two images.
        flattest: flatness of the flatter image.
        richness: richness of the richer image.
        side: longer side of the smaller thumbnail, pixels.
    """

    inliers: int
    bits: float
    plainness: float
    flatness: float
    flattest: float
    richness: float
    side: int


def is_photographic(features: Features, params: VerifyParams) -> bool:
    """Return whether features may decide: the images have texture throughout, and it is not drawn."""
    limits = params.photo
    return features.flattest <= limits.flattest and any(
        features.plainness <= plainness and features.flatness <= flatness and features.richness >= richness
        for plainness, flatness, richness in limits.textures
    )


def confirm_by_features(features: Features, thumbnails: Contents, colors: Colors | None, params: VerifyParams) -> bool:
    """Return whether rare features confirm two photographs, whatever was put over part of one.

    Args:
        features: what the features say.
        thumbnails: the comparison of the thumbnails.
        colors: the colors of the thumbnails; None if they are not known yet.
        params: parameters of the verification.
    """
    limits = params.photo
    if not is_photographic(features, params) or features.side < limits.side:
        return False
    if features.inliers >= limits.sure_inliers and features.bits >= limits.sure_bits:
        return thumbnails.deep <= limits.sure_deep
    if features.inliers < limits.inliers or features.bits < limits.bits:
        return False
    if thumbnails.share > limits.share or thumbnails.noise > limits.noise:
        return False
    return colors is None or colors.unexplained <= limits.unexplained


def reason_of_contents(
    features: Features, contents: Contents, thumbnail_share: float, params: VerifyParams, *, marked: bool
) -> str:
    """Return why contents do not confirm a pair; empty if they do.

    Args:
        features: what the features say.
        contents: the comparison of the contents, without what was put over one of the images.
        thumbnail_share: disagreement of the thumbnails; 1 if they show too little.
        params: parameters of the verification.
        marked: whether something was put over one of the images.
    """
    limits = params.decision
    if not contents.windows:
        return TOO_LITTLE_TEXTURE
    if marked:
        enough = features.bits >= params.foreign.min_bits and contents.windows >= params.foreign.min_windows
        if not enough or contents.noise > params.foreign.max_noise:
            return CONTENTS_DIFFER
        # Beside a mark, windows that its edge crosses disagree a little.
        if contents.share <= params.foreign.edge_share and contents.largest <= params.foreign.edge_largest:
            return ""
    if not contents_agree(features, contents, thumbnail_share, params):
        return CONTENTS_DIFFER
    guessed = features.inliers < limits.aligned_inliers
    return TOO_LITTLE_TEXTURE if guessed and contents.noise > limits.guessed_noise else ""


def reason_of_colors(
    features: Features, contents: Contents, colors: Colors | None, params: VerifyParams, *, marked: bool
) -> str:
    """Return why a pair whose contents agree is not confirmed; empty if it is.

    Args:
        features: what the features say.
        contents: the comparison of the contents.
        colors: the colors of what agrees.
        params: parameters of the verification.
        marked: whether something was put over one of the images.
    """
    limits = params.decision
    if marked and colors is not None and colors.difference > params.foreign.max_color:
        return CONTENTS_DIFFER
    refused = _reason_of_change(features, colors, params)
    if refused:
        return refused
    if contents.windows < _enough_windows(features, contents, colors, params):
        return TOO_LITTLE_TEXTURE
    same = colors is None or colors.difference <= limits.equal_difference
    return NOTHING_RARE if features.bits < limits.rare_bits and not same else ""


def _enough_windows(features: Features, contents: Contents, colors: Colors | None, params: VerifyParams) -> float:
    """Return how many textured windows are enough evidence."""
    limits = params.decision
    if contents.changed <= limits.changed_pixels:
        return limits.same_windows
    near = colors is None or colors.difference <= limits.equal_difference
    if near and contents.noise <= limits.equal_noise and features.inliers >= limits.equal_inliers:
        return limits.equal_windows
    if features.inliers >= limits.few_inliers and features.bits >= limits.few_bits:
        return limits.few_windows
    return limits.min_windows


def may_agree(contents: Contents, params: VerifyParams) -> bool:
    """Return whether contents may agree if something was put over one image; else there is no use in looking for it."""
    return contents.share <= params.decision.hopeless_share


def contents_agree(features: Features, contents: Contents, thumbnail_share: float, params: VerifyParams) -> bool:
    """Return whether contents agree but for noise, grain or flakes; the arguments are those of `reason_of_contents`.

    Look-alikes are as clean as the images they were drawn with: most of their windows agree exactly, and a letter, a
    bar or a word does not. What spoils a copy spoils it everywhere.
    """
    found = contents
    if found.changed <= params.decision.changed_pixels:
        return True
    scatter = found.total / max(found.largest, 1e-6)
    for way in params.decision.ways:
        if (
            way.noise[0] <= found.noise <= way.noise[1]
            and features.bits >= way.bits
            and features.inliers >= way.inliers
            and way.share[0] <= found.share <= way.share[1]
            and found.largest <= way.largest
            and found.deep <= way.deep * found.share
            and scatter >= way.scatter * (found.largest > 0)
            and thumbnail_share <= way.thumbnails
        ):
            return True
    return False


def _reason_of_change(features: Features, colors: Colors | None, params: VerifyParams) -> str:
    """Return `COLORS_DIFFER` or `COLORS_LOST` if colors refuse a pair whose contents agree."""
    limits = params.color
    if colors is None or colors.difference <= limits.same:
        return ""
    explained = colors.unexplained <= limits.explained
    # Brighter, darker, of more or less contrast or saturation: the hues stay.
    if explained and colors.kept >= limits.kept:
        return ""
    least = min(colors.chroma)
    if max(colors.chroma) <= limits.colored or (least <= limits.gray and colors.luminance <= limits.same_luminance):
        return "" if explained else COLORS_DIFFER
    rich = colors.distinct >= limits.mapped_colors and features.bits >= limits.mapped_bits
    if rich and colors.unexplained <= limits.mapped:
        return ""
    return COLORS_LOST if explained and least <= limits.colored else COLORS_DIFFER
