"""The parameters of verification, by topic; those of the decision are in `decision_params`.

`rarity` and `confidence` hold their own constants.

They were chosen on one half of a collection of real photographs, charts, receipts, screenshots, formulas, text lines
and flags with edited copies, on drawn templates, and checked on the other half. Lengths are in pixels at the size of
the comparison unless stated otherwise; levels run from 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from visdiv_assets.duplicates.verify.decision_params import BandParams, DecisionParams, ForeignParams, PhotoParams

#: The version of the verdicts. Raise it with every change that can alter a verdict: verdicts of other versions are
#: not reused.
VERIFY_VERSION = "5"


@dataclass(frozen=True, slots=True)
class PreparationParams:
    """What is kept of an image.

    Attributes:
        working_pixels: maximum number of pixels of the gray view. 360,000 pixels are 693 x 520: the letters of a page
            stay legible.
        working_side: maximum longer side of the gray view.
        small_pixels: size of the small view, where points are tracked.
        color_reduction: factor by which the color view is smaller than the gray view. JPEG halves colors too.
        min_side: minimum shorter side of an image that can be compared; a shorter one holds less than two windows.
        min_deviation: standard deviation of the luminance under which an image is constant except for compression.
        frame_side: side of the square views that are correlated to guess an alignment.
        border_tolerance: maximum difference, in levels, of a plain border's pixels from its median.
        thumbnail_side: longest side of a stored thumbnail.
        narrow_side: shorter side of a thumbnail under which it shows too little.
    """

    working_pixels: int = 360_000
    working_side: int = 2_400
    small_pixels: int = 110_000
    color_reduction: int = 3
    min_side: int = 16
    min_deviation: float = 1.5
    frame_side: int = 32
    border_tolerance: int = 20
    thumbnail_side: int = 256
    narrow_side: int = 24


@dataclass(frozen=True, slots=True)
class MatchParams:
    """Matching of local features.

    Attributes:
        max_distance: differing bits of two descriptors, of 256, above which they are not alike.
        min_votes: matches that must agree on a transform.
        vote_tolerance: distance in working pixels of a match from where another match's transform puts it.
        vote_drift: what is added to it, as a share of the distance between the two matches, because the scale and
            direction of a feature are only approximate.
        vote_scale: difference of two matches' scales, natural logarithm.
        vote_turn: difference of two matches' directions, radians.
        tolerances: distances in working pixels of a match from the map fitted to the matches, refit by refit.
        shown_tolerance: distance in working pixels up to which a feature is where the alignment puts it.
        shown_distance: differing bits up to which it is alike there.
        max_scale: largest change of scale, and largest ratio of the scales of the two directions of a map.
        enough: agreeing features from which no alignment is guessed.
        certain: agreeing features from which the mirror image and the negative are not tried: symmetric drawings agree
            with their mirror images in some.
        few: agreeing features under which an alignment by features is not tried.
    """

    max_distance: int = 64
    min_votes: int = 4
    vote_tolerance: float = 8.0
    vote_drift: float = 0.08
    vote_scale: float = 0.45
    vote_turn: float = 0.4
    tolerances: tuple[float, ...] = (12.0, 8.0, 6.0)
    shown_tolerance: float = 8.0
    shown_distance: int = 72
    max_scale: float = 8.0
    enough: int = 15
    certain: int = 60
    few: int = 5


@dataclass(frozen=True, slots=True)
class RegistrationParams:
    """Guessing an alignment from thumbnails, and refining it with tracked points.

    Attributes:
        min_correlation: correlation of two thumbnails from which their alignment is tried.
        max_guesses: alignments that are tried.
        max_points: points that are tracked.
        point_quality: minimum quality of a point, relative to the best (`cv2.goodFeaturesToTrack`).
        min_points: points that a refinement needs.
        bend_points: points from which a homography is fitted.
        point_tolerance: maximum distance of a point from where the fitted map puts it.
        hopeless_share: share of points that follow the map under which it is not refined.
        min_overlap: minimum share of the smaller image that the other covers: a common header of two pages is not a
            common image.
    """

    min_correlation: float = 0.5
    max_guesses: int = 2
    max_points: int = 200
    point_quality: float = 0.03
    min_points: int = 6
    bend_points: int = 40
    point_tolerance: float = 1.0
    hopeless_share: float = 0.15
    min_overlap: float = 0.3


@dataclass(frozen=True, slots=True)
class ContentParams:
    """Comparing windows; see `contents`.

    Attributes:
        min_deviation: standard deviation from which a window has texture, levels.
        ringing: share of the variance of its surroundings that it must have: less is the ringing of compression.
        over_noise: how many times the variance of the noise it must have.
        min_unlike: 1 minus the correlation under which windows agree in any case.
        max_unlike: 1 minus the correlation above which they disagree whatever the noise.
        noise_factor: how many times the typical value of a pair a window must exceed to disagree.
        deep_unlike: 1 minus the correlation from which the contents have little in common.
        quiet_share: share of the windows whose variance is noise.
        min_noise: variance of the noise that is assumed in any case.
        max_noise: variance of the noise that is assumed at most.
        equal_detail: ratio of fine detail up to which two images are equally sharp.
        blurs: standard deviations of the blurs that are tried.
        max_samples: windows from which noise is estimated.
        changed_levels: difference from which a pixel has changed, levels.
    """

    min_deviation: float = 6.0
    ringing: float = 0.02
    over_noise: float = 4.0
    min_unlike: float = 0.2
    max_unlike: float = 0.5
    noise_factor: float = 5.0
    deep_unlike: float = 0.5
    quiet_share: float = 0.2
    min_noise: float = 4.0
    max_noise: float = 100.0
    equal_detail: float = 1.12
    blurs: tuple[float, ...] = (0.5, 0.7, 0.9, 1.2, 1.6, 2.1, 2.8, 3.7, 5.0)
    max_samples: int = 20_000
    changed_levels: int = 12


@dataclass(frozen=True, slots=True)
class ColorParams:
    """Comparing colors; see `colors`.

    Attributes:
        max_samples: places that are compared.
        min_places: places without which nothing can be said.
        colored: distance from gray from which a place has color, levels.
        min_colored: share of such places from which colors matter.
        max_turn: turn of the hue that leaves a color what it is, degrees.
        min_saturation: saturation that must be kept, in proportion to the contrast.
        refits: times that the map of colors is fitted.
        pull: weight of no change, in squared levels per place.
        fit_noise: difference that counts half when the map is fitted, levels.
        same: difference up to which colors are the same, levels.
        same_luminance: difference of the luminance up to which an image was merely desaturated, levels.
        gray: distance from gray up to which an image is gray, levels.
        kept: share of colored places that must keep their hue and saturation for that.
        explained: variance that a change of tone may leave.
        mapped: variance that any other change may leave, with `mapped_colors` and `mapped_bits`.
        mapped_colors: distinct colors that it must explain.
        mapped_bits: evidence that it needs.
    """

    max_samples: int = 4000
    min_places: int = 20
    colored: float = 10.0
    min_colored: float = 0.001
    max_turn: float = 30.0
    min_saturation: float = 0.25
    refits: int = 5
    pull: float = 2.0
    fit_noise: float = 4.0
    same: float = 13.0
    same_luminance: float = 6.0
    gray: float = 6.0
    kept: float = 0.93
    explained: float = 0.02
    mapped: float = 0.003
    mapped_colors: int = 24
    mapped_bits: float = 40.0


@dataclass(frozen=True, slots=True)
class KindParams:
    """Naming the kind of a confirmed copy.

    Attributes:
        min_turn: turn from which a copy is rotated, degrees.
        whole_share: share from which an image is covered whole.
        plain_border: share of one level in what surrounds an image from which it is a border.
        plain_caption: share of one level in a strip beside an image from which it is a caption.
        toned_levels: change of the mean brightness from which a copy is recolored, levels.
        toned_ratio: ratio of the brightness's deviations from which a copy is recolored.
        recolored: difference of colors from which a copy is recolored, levels.
        marked: largest place of disagreement from which something was put over a copy, in areas of a window.
    """

    min_turn: float = 1.0
    whole_share: float = 0.97
    plain_border: float = 0.97
    plain_caption: float = 0.6
    toned_levels: float = 4.0
    toned_ratio: float = 1.06
    recolored: float = 16.0
    marked: float = 2.0


@dataclass(frozen=True, slots=True)
class VerifyParams:
    """All parameters of verification, by topic; `dataclasses.replace` makes variants."""

    preparation: PreparationParams = field(default_factory=PreparationParams)
    match: MatchParams = field(default_factory=MatchParams)
    registration: RegistrationParams = field(default_factory=RegistrationParams)
    content: ContentParams = field(default_factory=ContentParams)
    color: ColorParams = field(default_factory=ColorParams)
    foreign: ForeignParams = field(default_factory=ForeignParams)
    band: BandParams = field(default_factory=BandParams)
    photo: PhotoParams = field(default_factory=PhotoParams)
    decision: DecisionParams = field(default_factory=DecisionParams)
    kind: KindParams = field(default_factory=KindParams)


#: The parameters that verdicts are published with.
DEFAULT_PARAMS = VerifyParams()
