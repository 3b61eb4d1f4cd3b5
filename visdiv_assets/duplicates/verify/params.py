"""The parameters of verification: every number that a verdict depends on.

Where a parameter's description names a measurement, it was made on three sets of pairs:

- (s) the sample corpus: 276 planted copies, and the 24 other pairs of SSCD similarity 0.45 or more;
- (t) drawn templates, with copies of 12 kinds at 3 strengths and with look-alikes, half of which differ in one thing;
- (d) the development half of an independent collection of charts, pages, screens, icons, photographs and clip art.

Where none is named, the value was chosen by reasoning and not tuned. Lengths are in pixels at the size of the
comparison unless stated otherwise; levels run from 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: The version of the verdicts. Raise it with every change that can alter a verdict: verdicts of other versions are
#: not reused.
VERIFY_VERSION = "2"


@dataclass(frozen=True, slots=True)
class PreparationParams:
    """What is kept of an image.

    Attributes:
        working_pixels: maximum number of pixels of the gray view. 360,000 pixels are 693 x 520: the letters of a page
            stay legible.
        working_side: maximum longer side of the gray view.
        small_pixels: size of the small view, where points are tracked and doubtful alignments are compared first.
        keypoint_pixels: size at which keypoints are detected; twice as fast as at `small_pixels`, and no worse.
        color_reduction: factor by which the color view is smaller than the gray view. JPEG halves colors too, and hue
            is compared over areas.
        min_side: minimum shorter side of an image that can be compared; a shorter one holds two windows.
        min_deviation: standard deviation of the luminance under which an image is constant except for compression.
        thumbnail_side: side of the square thumbnails that are correlated.
        border_tolerance: maximum difference, in levels, of a plain border's pixels from its median.
    """

    working_pixels: int = 360_000
    working_side: int = 2_400
    small_pixels: int = 110_000
    keypoint_pixels: int = 60_000
    color_reduction: int = 3
    min_side: int = 16
    min_deviation: float = 1.5
    thumbnail_side: int = 32
    border_tolerance: int = 20


@dataclass(frozen=True, slots=True)
class KeypointParams:
    """Detection and matching of keypoints.

    Attributes:
        max_keypoints: keypoints of an image. 500 at the small size suffice for crops to 60 % of the area (s, t: all
            are found except those of flags).
        max_matches: matches that vote.
        min_product: product of two RootSIFT vectors under which their points are not alike.
        min_votes: matches that must agree on a transform. On a page of text three points may agree by chance; four
            rarely agree in their scales and directions too.
        max_hypotheses: transforms that are returned.
        vote_tolerance: maximum distance of a match from where another match's transform puts it.
        vote_drift: what is added to `vote_tolerance`, as a share of the distance between the two matches, because the
            scale and angle of a keypoint are only approximate.
        vote_scale: maximum difference of two matches' scales, natural logarithm.
        vote_turn: maximum difference of two matches' angles, radians.
    """

    max_keypoints: int = 400
    max_matches: int = 200
    min_product: float = 0.75
    min_votes: int = 4
    max_hypotheses: int = 3
    vote_tolerance: float = 6.0
    vote_drift: float = 0.06
    vote_scale: float = 0.4
    vote_turn: float = 0.35


@dataclass(frozen=True, slots=True)
class RegistrationParams:
    """Guessing an alignment from thumbnails, and refining it with tracked points.

    Attributes:
        min_correlation: correlation of two thumbnails from which their alignment is tried.
        max_guesses: alignments that are tried.
        max_points: points that are tracked.
        point_quality: minimum quality of a point, relative to the best (`cv2.goodFeaturesToTrack`).
        min_points: points that a refinement needs.
        point_tolerance: maximum distance of a point from where the fitted map puts it.
        hopeless_share: share of points that follow the map under which the guess is wrong.
        plenty_points: with fewer points, the guess itself is tried too (flags and other stripes).
        poor_share: with a smaller share of points that follow the map, the guess itself is tried too.
        decisive_share: share of points from which an alignment counts as right, so that no other one is tried
            (look-alikes of one template).
        min_overlap: minimum share of the smaller image that the other covers: a common header of two pages is not a
            common image.
    """

    min_correlation: float = 0.5
    max_guesses: int = 3
    max_points: int = 200
    point_quality: float = 0.03
    min_points: int = 6
    point_tolerance: float = 1.0
    hopeless_share: float = 0.15
    plenty_points: int = 25
    poor_share: float = 0.3
    decisive_share: float = 0.45
    min_overlap: float = 0.5


@dataclass(frozen=True, slots=True)
class ToneParams:
    """Removing global differences of tone and sharpness.

    Attributes:
        min_contrast_kept: share of the contrast that a tone curve must keep; one that flattens more explains nothing.
        max_loss: level at which losses are truncated.
        min_improvement: ratio of the loss without a change to that of a curve from which the curve is used; a smaller
            gain is noise.
        min_slope: minimum slope of a tone curve; copies made at half the contrast have 0.5.
        equal_sharpness: ratio of fine detail above which two images are equally sharp.
        min_detail_kept: share of the blurrier image's detail that the other must keep when it is blurred.
    """

    min_contrast_kept: float = 0.7
    max_loss: float = 20.0
    min_improvement: float = 1.1
    min_slope: float = 0.2
    equal_sharpness: float = 0.93
    min_detail_kept: float = 0.7


@dataclass(frozen=True, slots=True)
class WindowParams:
    """Comparing windows. A window disagrees if noise does not explain its difference.

    The limits of the noise keep a pair from claiming too much: with loose limits (`max_proportional_noise` 0.15,
    `max_noise` 14), and tone and blur free to flatten both images, 20 % of the different charts of (d) passed; with
    these limits, none. A page saved as JPEG of quality 20 estimates a proportional noise of 0.03.

    Attributes:
        side: side of a window; 7 pixels are a letter of a page at working size.
        min_deviation: standard deviation above which a window has texture, levels.
        min_gain: minimum gain of local contrast between the two images, beyond the global tone.
        max_proportional_noise: maximum noise in proportion to the texture, as a share of its variance.
        max_noise: maximum noise of a fixed size, levels.
        min_noise: noise that is assumed in any case, levels.
        surround: side of the surroundings over which strong texture spreads noise (compression in blocks of 8 and 16
            pixels).
        max_samples: windows from which noise is estimated.
        beside_share: a window lies beside strong texture if its variance is at most this share of its surroundings'.
        max_ringing: maximum noise beside strong texture, as a share of the surroundings' variance.
        min_excess: how many times the variance that noise explains the difference of a disagreeing window has.
        min_unexplained: share of the texture's variance that the difference of a disagreeing window has. A drawn
            table: at JPEG qualities 95 to 20 copies have no disagreeing region, and an exchanged digit makes one of
            0.5 to 5 windows; with a share of 0.3, a 3 for an 8 is missed at half the size.
        unlike_share: share of the variance from which two windows have nothing in common, which noise cannot excuse.
        unlike_levels: minimum difference of two such windows, levels.
        unlike_ringing: share of the ringing that is added to it.
    """

    side: int = 7
    min_deviation: float = 6.0
    min_gain: float = 0.75
    max_proportional_noise: float = 0.04
    max_noise: float = 7.0
    min_noise: float = 2.0
    surround: int = 17
    max_samples: int = 10_000
    beside_share: float = 0.25
    max_ringing: float = 0.05
    min_excess: float = 9.0
    min_unexplained: float = 0.12
    unlike_share: float = 0.6
    unlike_levels: float = 14.0
    unlike_ringing: float = 4.0


@dataclass(frozen=True, slots=True)
class ColorParams:
    """Comparing colors under one global change of color.

    Attributes:
        max_unevenness: difference of neighbors up to which a pixel is part of an evenly colored area, levels.
        min_even_pixels: evenly colored pixels that the fit needs.
        max_samples: pixels that the change is fitted to.
        max_turn: maximum turn of the hue that copying makes, degrees.
        max_saturation: maximum factor of the saturation.
        max_tint: maximum tint, levels. With 40, the flag of France passes for that of Ireland (d).
        max_difference: difference after the global change from which colors differ, levels. (d: 99 % of copies leave
            less than 11; t: a recolored tile of an icon sheet leaves 23.)
        min_area: share of the evenly colored pixels that must differ.
        min_pixels: number of evenly colored pixels that must differ.
        recolored_difference: difference before the global change from which an image counts as recolored, levels.
        clipped_levels: adjacent levels (of 32) that must all be at the limit for a channel to count as clipped.
    """

    max_unevenness: float = 24.0
    min_even_pixels: int = 50
    max_samples: int = 4_000
    max_turn: float = 20.0
    max_saturation: float = 2.0
    max_tint: float = 20.0
    max_difference: float = 22.0
    min_area: float = 0.001
    min_pixels: int = 4
    recolored_difference: float = 9.0
    clipped_levels: int = 4


@dataclass(frozen=True, slots=True)
class OverlayParams:
    """Recognizing what was put over one of two copies.

    Attributes:
        min_difference: difference above which a pixel is covered, levels.
        max_unexplained: share of the disagreement that an overlay may leave unexplained.
        band_share: share of the pixels of a band's line that differ.
        max_band: maximum share of the height or width that a band takes (captions of t: 22 %).
        max_stamps: maximum number of logos and stickers.
        min_stamp: minimum share of the overlap's area that a stamp takes.
        max_stamp: maximum share of the overlap's area that a stamp takes.
        stamp_solidity: minimum share of a stamp's convex hull that its outline encloses.
        stamp_box: minimum share of its bounding box that a stamp fills, unless it is a disc.
        stamp_detail: minimum share of a stamp's pixels that are part of strokes.
        stamp_filled: minimum share of a stamp's pixels that differ.
        outline_step: minimum step across the outline in the image with the overlay, except for 15 % of it, levels.
        outline_clean: maximum step across the outline in the other image, relative to that. (t: without it 5 of 12 QR
            codes with some exchanged squares pass as stamped.)
        faded_levels: distance from the background from which a pixel under a translucent band counts, levels.
        faded_share: share of that distance to which a translucent band fades it.
        faded_cut: share of the width at which a translucent band's edge cuts through contents.
        faded_ink: minimum share of a translucent band that is ink.
        mark_opacity: maximum opacity of a watermark.
        mark_even: minimum share of a watermark's pixels that have its typical opacity.
        mark_stroke: maximum width of a watermark's strokes, as a share of the shorter side.
        mark_rest: maximum difference that a watermark leaves unexplained, levels.
        mark_color: maximum difference of color that a watermark leaves unexplained, levels.
        marked_color: difference of color from which an area was filled with another color, not marked, levels.
    """

    min_difference: float = 12.0
    max_unexplained: float = 0.1
    band_share: float = 0.5
    max_band: float = 0.28
    max_stamps: int = 3
    min_stamp: float = 0.005
    max_stamp: float = 0.14
    stamp_solidity: float = 0.85
    stamp_box: float = 0.9
    stamp_detail: float = 0.03
    stamp_filled: float = 0.65
    outline_step: float = 10.0
    outline_clean: float = 0.35
    faded_levels: float = 40.0
    faded_share: float = 0.55
    faded_cut: float = 0.04
    faded_ink: float = 0.01
    mark_opacity: float = 0.7
    mark_even: float = 0.5
    mark_stroke: float = 0.08
    mark_rest: float = 24.0
    mark_color: float = 15.0
    marked_color: float = 70.0


@dataclass(frozen=True, slots=True)
class DecisionParams:
    """Deciding whether the contents of two aligned images agree.

    Attributes:
        min_windows: separate windows with texture that are enough evidence. (d: copies have 24 and more, 95 % have
            110.)
        min_agreement: share of windows with texture that must agree. (d: 99.4 % of copies without overlays have 0.995
            and more.)
        max_region: maximum area of a disagreeing region, in areas of a window. (d: of copies without overlays, 97.5 %
            have less than 0.1, 99.1 % less than 0.5.)
        min_coarse_agreement: agreement at the small size under which an alignment is hopeless.
        min_overlay_agreement: agreement under which no overlay is searched for.
        min_recolored_agreement: agreement above which effects of a change of color on the brightness are considered.
        max_shading: maximum difference of smooth areas' mean brightness, levels; more is other contents.
        shaded_area: share of the overlap that must differ by that.
    """

    min_windows: int = 12
    min_agreement: float = 0.98
    max_region: float = 0.45
    min_coarse_agreement: float = 0.5
    min_overlay_agreement: float = 0.3
    min_recolored_agreement: float = 0.9
    max_shading: float = 45.0
    shaded_area: float = 0.005


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
    """

    min_turn: float = 1.0
    whole_share: float = 0.97
    plain_border: float = 0.97
    plain_caption: float = 0.6
    toned_levels: float = 4.0
    toned_ratio: float = 1.06


@dataclass(frozen=True, slots=True)
class VerifyParams:
    """All parameters of verification, by topic; `dataclasses.replace` makes variants."""

    preparation: PreparationParams = field(default_factory=PreparationParams)
    keypoints: KeypointParams = field(default_factory=KeypointParams)
    registration: RegistrationParams = field(default_factory=RegistrationParams)
    tone: ToneParams = field(default_factory=ToneParams)
    window: WindowParams = field(default_factory=WindowParams)
    color: ColorParams = field(default_factory=ColorParams)
    overlay: OverlayParams = field(default_factory=OverlayParams)
    decision: DecisionParams = field(default_factory=DecisionParams)
    kind: KindParams = field(default_factory=KindParams)


#: The parameters that verdicts are published with.
DEFAULT_PARAMS = VerifyParams()
