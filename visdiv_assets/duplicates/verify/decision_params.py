"""The parameters of the decision: what confirms photographs, and how the contents of other copies may differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForeignParams:
    """Finding what was put over an image; see `foreign`.

    Attributes:
        min_difference: difference of a color from which a pixel differs, levels.
        scales: sides of the areas over which colors are averaged, in pixels of the color view.
        known_share: number of places in a color that the clean image may have, in proportion to those of the mark.
        min_share: share of a place that must be in foreign colors.
        min_area: share of the overlap that a mark covers at least.
        max_area: share of the overlap that marks may cover.
        max_hidden: share of the mark under which the clean image may have colors that the marked one lacks.
        framed_area: share of the overlap from which a place may be an image in a frame that both images have.
        max_framed: share of its outline that may be an edge in the clean image.
        edge: difference of neighboring pixels from which there is an edge, levels.
        max_noise: noise of the contents above which marks cannot be told from the rest.
        min_windows: textured windows beside it that are enough evidence.
        min_bits: evidence that such a pair needs.
        max_color: difference of the colors beside a mark, levels.
        edge_share: disagreement that the edges of marks may leave.
        edge_largest: its largest place, in areas of a window.
    """

    min_difference: int = 40
    scales: tuple[int, ...] = (1, 3, 5)
    known_share: float = 0.03
    min_share: float = 0.35
    min_area: float = 0.001
    max_area: float = 0.4
    max_hidden: float = 0.02
    framed_area: float = 0.02
    max_framed: float = 0.5
    edge: int = 30
    max_noise: float = 0.15
    min_windows: float = 60.0
    min_bits: float = 8.0
    max_color: float = 20.0
    edge_share: float = 0.006
    edge_largest: float = 1.2


@dataclass(frozen=True, slots=True)
class BandParams:
    """Finding a caption; see `bands`.

    Attributes:
        rest: share of all texture that may disagree beyond the band.
        min_depth: depth of a band, as a share of the height or width.
        max_depth: the same, at most.
        min_width: share of the length of the band over which contents disagree.
        min_share: share of the band's texture that disagrees.
    """

    rest: float = 0.008
    min_depth: float = 0.03
    max_depth: float = 0.36
    min_width: float = 0.4
    min_share: float = 0.75


@dataclass(frozen=True, slots=True)
class PhotoParams:
    """Deciding by local features, for images with texture throughout.

    Attributes:
        textures: plainness and flatness up to which, and richness from which, images are photographs; one of the rows
            must hold. See `PreparedImage`. (Plainness: 95 % of photographs have at most 0.56, drawings 0.21 to 0.97.
            Flatness: 0.56; drawings 0.51 to 0.79. Richness: 0.68 and more; drawings 0.07 to 0.95.)
        flattest: flatness that neither image may exceed.
        side: longer side that both images must have, pixels; what is smaller shows too little.
        inliers: agreeing features that confirm such a pair; different photographs have 6 at most.
        bits: evidence that they need.
        share: disagreement of the thumbnails up to which so few suffice.
        noise: noise of the thumbnails up to which so few suffice.
        unexplained: variance of colors that a global change may leave then.
        sure_inliers: agreeing features from which none of these matters.
        sure_bits: evidence that they need.
        sure_deep: share of the thumbnails that may have nothing in common then.
        assumed_bits: how rare a feature is where no background tells.
    """

    textures: tuple[tuple[float, float, float], ...] = ((0.5, 0.57, 0.65), (0.45, 0.62, 0.66))
    flattest: float = 0.64
    side: int = 96
    inliers: int = 10
    bits: float = 8.0
    share: float = 0.3
    noise: float = 0.2
    unexplained: float = 0.1
    sure_inliers: int = 50
    sure_bits: float = 40.0
    sure_deep: float = 0.55
    assumed_bits: float = 3.0


@dataclass(frozen=True, slots=True)
class Way:
    """A way in which the contents of two copies may agree; see `decision.contents_agree`.

    Attributes:
        name: what spoils such copies.
        share: disagreement that they have, from and to.
        largest: its largest place, in areas of a window. A changed letter has 0.9 and more.
        noise: the noise that the pair must have, from and to.
        bits: evidence that it needs.
        inliers: agreeing features that it needs.
        deep: share of the disagreement that may have nothing in common.
        scatter: all places of disagreement in proportion to the largest, at least.
        thumbnails: disagreement of the thumbnails, where specks are averaged away.
    """

    name: str
    share: tuple[float, float]
    largest: float
    noise: tuple[float, float] = (0.0, 1.0)
    bits: float = 0.0
    inliers: int = 0
    deep: float = 1.0
    scatter: float = 0.0
    thumbnails: float = 1.0


#: Drawn look-alikes that differ in one thing have noise of 0.003 and less; copies that are spoiled have more.
WAYS = (
    Way("nothing", share=(0.0, 0.004), largest=0.3),
    Way("compression", share=(0.0, 0.018), largest=0.9, noise=(0.01, 1.0), bits=12.0),
    Way("resampling", share=(0.0, 0.04), largest=10.0, noise=(0.006, 1.0), bits=40.0, inliers=20, deep=0.0),
    Way("ringing", share=(0.02, 0.25), largest=20.0, noise=(0.04, 1.0), bits=20.0, inliers=40, deep=0.11),
    Way("grain", share=(0.0, 0.105), largest=20.0, noise=(0.009, 1.0), bits=20.0, inliers=20, deep=0.16, scatter=2.4),
    Way("blur", share=(0.0, 0.03), largest=4.0, noise=(0.07, 1.0), bits=30.0),
    Way("distortion", share=(0.0, 0.07), largest=4.0, noise=(0.1, 1.0), bits=60.0),
    Way("flakes", share=(0.0, 0.07), largest=4.0, bits=40.0, inliers=70, deep=0.6, scatter=3.5),
    Way(
        "specks", share=(0.0, 0.5), largest=20.0, noise=(0.0, 0.1), bits=50.0, inliers=60, scatter=20.0, thumbnails=0.1
    ),
)


@dataclass(frozen=True, slots=True)
class DecisionParams:
    """Deciding by pixels; see `decision`.

    Attributes:
        min_windows: textured windows that are enough evidence.
        aligned_inliers: agreeing features from which an alignment is sure.
        guessed_noise: noise above which a guessed alignment is no evidence.
        changed_pixels: changed pixels up to which two images are the same; a changed letter has more.
        same_windows: textured windows that suffice for them.
        few_windows: textured windows that suffice if many features agree.
        few_inliers: how many.
        few_bits: evidence that they need.
        equal_windows: textured windows that suffice if the images hardly differ at all.
        equal_noise: their noise.
        equal_difference: difference of their colors, levels.
        equal_inliers: features that agree.
        rare_bits: evidence without which colors must be the same.
        screen_deep: share of a thumbnail's texture with nothing in common from which images differ.
        aligned_screen_deep: the same where `sure_inliers` features agree on the alignment.
        sure_inliers: see there.
        slid_deep: share of texture with nothing in common from which a refined alignment is doubted.
        hopeless_share: disagreement above which nothing put over an image explains it.
        ways: in which contents may agree.
    """

    min_windows: float = 45.0
    aligned_inliers: int = 8
    guessed_noise: float = 0.1
    changed_pixels: int = 3
    same_windows: float = 4.0
    few_windows: float = 28.0
    few_inliers: int = 30
    few_bits: float = 20.0
    equal_windows: float = 12.0
    equal_noise: float = 0.05
    equal_difference: float = 15.0
    equal_inliers: int = 15
    rare_bits: float = 9.0
    screen_deep: float = 0.6
    aligned_screen_deep: float = 0.45
    sure_inliers: int = 20
    slid_deep: float = 0.1
    hopeless_share: float = 0.55
    ways: tuple[Way, ...] = WAYS
