"""Issues of the quality of images: CleanVision's issue types as rules on the columns of `images`.

Names and thresholds are those of CleanVision 0.3.7. The measures differ from its own in these ways:

- Levels of brightness are counted in a sample of at most 128 x 128 pixels, and percentiles are whole levels.
- odd_aspect_ratio and odd_size are computed from the size after applying the EXIF orientation.
- low_information is the column of that name: nearly constant, or few colors. CleanVision's rule is an entropy below 3,
  of the histograms of the three channels one after the other, which a page of text may exceed.
- blurry: CleanVision's filter leaves the outermost pixels of the reduced image unfiltered, which makes most images with
  bright edges sharp. Here they are filtered like the others, so more blurred images are found.
- grayscale: CleanVision tests whether the file is stored in gray. Here gray images that are stored in color count too.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Levels, 0 to 255, of CleanVision's thresholds 0.32 and 0.05, which are for brightness from 0 to 1.
MAX_DARK_P99 = 0.32 * 255
MIN_LIGHT_P5 = (1 - 0.05) * 255
#: Lowest ratio of the shorter to the longer side that is not odd.
MIN_RATIO = 0.35
#: Interquartile ranges between a quartile and the bound of usual sizes.
SIZE_RANGES = 3.0
#: A score of sharpness, 0 to 1, under which an image is blurry, and the score of the histogram from which it counts.
MIN_SHARPNESS, MIN_HISTOGRAM = 0.29, 0.18


@dataclass(frozen=True)
class Issue:
    """An issue of an image.

    Attributes:
        name: CleanVision's name, and the column of `images` that tells whether an image has it.
        condition: SQL on the columns of an image, and on the bounds `size_low` and `size_high` of its subset; empty if
            the lake stores the column.
        meaning: the rule in words.
    """

    name: str
    condition: str
    meaning: str


def _score(deviation: str) -> str:
    """Return SQL that maps a standard deviation to a score from 0 to 1, as CleanVision does."""
    return f"(1 - exp(-0.01 * {deviation}))"


_HISTOGRAM_SCORE = _score("histogram_deviation")

ISSUES = (
    Issue("dark", f"brightness_p99 < {MAX_DARK_P99}", f"brightness_p99 is less than {MAX_DARK_P99:g}"),
    Issue("light", f"brightness_p5 > {MIN_LIGHT_P5}", f"brightness_p5 is more than {MIN_LIGHT_P5}"),
    Issue(
        "odd_aspect_ratio",
        f"least(width, height) < {MIN_RATIO} * greatest(width, height)",
        f"the shorter side is less than {MIN_RATIO} of the longer one",
    ),
    Issue(
        "odd_size",
        "sqrt(width::DOUBLE * height) NOT BETWEEN size_low AND size_high",
        f"the root of width * height is more than {SIZE_RANGES:g} interquartile ranges from the subset's quartiles",
    ),
    Issue("low_information", "", "nearly constant, or few colors"),
    Issue(
        "blurry",
        f"{_score('sqrt(sharpness)')}"
        f" + CASE WHEN {_HISTOGRAM_SCORE} > {MIN_HISTOGRAM} THEN {_HISTOGRAM_SCORE} ELSE 0 END < {MIN_SHARPNESS}",
        f"1 - exp(-0.01 sqrt(sharpness)) is less than {MIN_SHARPNESS}; 1 - exp(-0.01 histogram_deviation) is added if "
        f"it is more than {MIN_HISTOGRAM}",
    ),
    Issue("grayscale", "", "no color, whether stored in gray or in color"),
)
#: The values of the columns that the lake does not store, as SQL.
ISSUE_VALUES = {
    issue.name: f"CASE WHEN status = 'ok' THEN {issue.condition} END" for issue in ISSUES if issue.condition
}


def size_bounds(sizes: str) -> str:
    """Return SQL of the bounds of usual sizes, from a relation of the readable images of one subset."""
    return f"""
SELECT q[1] - {SIZE_RANGES} * (q[2] - q[1]) AS size_low, q[2] + {SIZE_RANGES} * (q[2] - q[1]) AS size_high
FROM (SELECT quantile_cont(sqrt(width::DOUBLE * height), [0.25, 0.75]) AS q FROM {sizes})
"""
