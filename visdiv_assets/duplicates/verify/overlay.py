"""Find overlays on one of two copies: a band of text, a logo or a watermark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.params import VerifyParams

if TYPE_CHECKING:
    from numpy.typing import NDArray


def find_overlay(
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    inside: NDArray[np.bool_],
    disagrees: NDArray[np.bool_],
    colors_differ: NDArray[np.bool_],
    params: VerifyParams,
) -> NDArray[np.bool_] | None:
    """Find the one overlay on two aligned images that accounts for nearly all of their disagreement.

    An overlay hides its whole area and has an outline of its own: a band from edge to edge, or a box or disc with
    contents. Changed contents (a digit, a word, a bar) are no overlay: letters differ in their strokes only, and the
    background between them stays.

    Args:
        one: float32 [h, w], of one tone and sharpness with the other.
        two: float32 [h, w].
        inside: bool [h, w], where both images have pixels.
        disagrees: bool [h, w], where windows disagree.
        colors_differ: bool [h, w], where colors differ.
        params: parameters of the verification.

    Returns:
        bool [h, w], the area of the overlay; None if there is none.
    """
    differs = ((np.abs(one - two) > params.overlay.min_difference) | colors_differ) & inside
    total = int(np.count_nonzero(disagrees | colors_differ))
    for place in (
        _band(differs, one, two, inside, params),
        _stamps(differs, one, two, inside, params),
        _faded_band(one, two, inside, params),
        _faded_band(two, one, inside, params),
    ):
        if place is None:
            continue
        left = int(np.count_nonzero((disagrees | colors_differ) & ~place))
        if left <= params.overlay.max_unexplained * total:
            return place
    return None


def _band(
    differs: NDArray[np.bool_],
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    inside: NDArray[np.bool_],
    params: VerifyParams,
) -> NDArray[np.bool_] | None:
    """Find the smallest band along one side in which most pixels differ."""
    best: NDArray[np.bool_] | None = None
    for axis, backwards in ((0, False), (0, True), (1, False), (1, True)):
        counts = inside.sum(1 - axis).astype(np.float64)
        share = differs.sum(1 - axis) / np.maximum(counts, 1)
        used = np.flatnonzero(counts > 0.3 * inside.shape[1 - axis])
        if len(used) < 8:
            continue
        lines = used[::-1] if backwards else used
        changed = share[lines] > params.overlay.band_share
        limit = int(params.overlay.max_band * len(lines))
        # A band holds lines of text and the background between them: it ends where most of three lines agree.
        steady = np.convolve(changed, np.ones(3), "same") >= 2
        still = np.flatnonzero(~steady)
        depth = int(still[0]) if len(still) else len(steady)
        if not 4 <= depth <= limit:
            continue
        if _overlay_bearer(_strip(differs.shape, axis, backwards, lines[:depth]), one, two, params) is None:
            continue
        place = _strip(differs.shape, axis, backwards, lines[: depth + params.window.side])
        if best is None or np.count_nonzero(place) < np.count_nonzero(best):
            best = place
    return best


def _strip(shape: tuple[int, ...], axis: int, backwards: bool, lines: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask of the rows (axis 0) or columns from the edge of the image, which has no windows, to `lines`."""
    place = np.zeros(shape, bool)
    low = int(lines.min()) if backwards else 0
    high = shape[axis] if backwards else int(lines.max()) + 1
    place[(slice(low, high), slice(None)) if axis == 0 else (slice(None), slice(low, high))] = True
    return place


def _overlay_bearer(
    place: NDArray[np.bool_], one: NDArray[np.float32], two: NDArray[np.float32], params: VerifyParams
) -> int | None:
    """Return which of two images (0 or 1) has a step along the whole outline of an area that the other lacks, if any.

    An overlay cuts through what it covers. A cell, a tile or a field that was filled differently has its outline in
    both images, and a longer bar lacks one side of it.
    """
    import cv2

    soft = cv2.GaussianBlur(place.astype(np.float32), (0, 0), 2.0)
    across = np.stack([cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)], axis=-1)
    outlines, _ = cv2.findContours(place.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate([outline.reshape(-1, 2) for outline in outlines])
    height, width = place.shape
    reach = 5
    room = ((points >= reach + 1) & (points < np.array([width, height]) - reach - 1)).all(1)
    points = points[room]
    if len(points) < 12:
        return None
    normal = across[points[:, 1], points[:, 0]]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    within = np.round(points + (reach - 1) * normal).astype(int)
    beyond = np.round(points - reach * normal).astype(int)
    steps = [np.abs(i[within[:, 1], within[:, 0]] - i[beyond[:, 1], beyond[:, 0]]) for i in (one, two)]
    lowest = [float(np.percentile(step, 15)) for step in steps]
    bearer = int(lowest[1] > lowest[0])
    if lowest[bearer] < params.overlay.outline_step:
        return None
    allowed = max(6.0, params.overlay.outline_clean * float(np.median(steps[bearer])))
    return bearer if float(np.percentile(steps[1 - bearer], 65)) < allowed else None


def _stamps(
    differs: NDArray[np.bool_],
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    inside: NDArray[np.bool_],
    params: VerifyParams,
) -> NDArray[np.bool_] | None:
    """Find at most `max_stamps` boxes or discs that differ throughout and have contents."""
    import cv2

    closed = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    least = params.overlay.min_stamp * max(1, int(np.count_nonzero(inside)))
    most = least / params.overlay.min_stamp * params.overlay.max_stamp
    place = np.zeros(differs.shape, np.uint8)
    bearers = set()
    for outline in sorted(outlines, key=cv2.contourArea, reverse=True)[: params.overlay.max_stamps]:
        if least <= cv2.contourArea(outline) <= most:
            bearer = _stamp_bearer(np.asarray(outline, np.int32), differs, one, two, params)
            if bearer is not None:
                bearers.add(bearer)
                cv2.drawContours(place, [cv2.convexHull(outline)], -1, 1, cv2.FILLED)
    # Stamps on both images mean that something was moved, not that something was put over one of them.
    if len(bearers) != 1:
        return None
    result: NDArray[np.bool_] = cv2.dilate(place, np.ones((params.window.side + 4,) * 2, np.uint8)) > 0
    return result


def _stamp_bearer(
    outline: NDArray[np.int32],
    differs: NDArray[np.bool_],
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    params: VerifyParams,
) -> int | None:
    """Return which of two images (0 or 1) has a stamp within an outline, if any."""
    import cv2

    hull = cv2.convexHull(outline)
    hull_area = float(cv2.contourArea(hull))
    (_, _), (width, height), _ = cv2.minAreaRect(hull)
    box = hull_area / max(width * height, 1.0)
    # A disc fills pi / 4 of its bounding box, a box all of it; rounded corners take away little.
    disc = abs(box - np.pi / 4) < 0.045 and min(width, height) / max(width, height) > 0.85
    solid = float(cv2.contourArea(outline)) >= params.overlay.stamp_solidity * hull_area
    if not solid or not (box > params.overlay.stamp_box or disc):
        return None
    filled = np.zeros(differs.shape, np.uint8)
    cv2.drawContours(filled, [hull], -1, 1, cv2.FILLED)
    # Exchanged letters and squares leave the background between them unchanged.
    if float(differs[filled > 0].mean()) < params.overlay.stamp_filled:
        return None
    inner = cv2.erode(filled, np.ones((7, 7), np.uint8)) > 0
    if not inner.any():
        return None
    bearer = _overlay_bearer(filled > 0, one, two, params)
    if bearer is None:
        return None
    # A stamp has contents: a flat box may just as well be a bar, a tile or a field.
    curved = np.abs(cv2.Laplacian((one, two)[bearer], cv2.CV_32F, ksize=3))[inner]
    return bearer if float((curved > 40).mean()) >= params.overlay.stamp_detail else None


def _faded_band(
    clean: NDArray[np.float32], marked: NDArray[np.float32], inside: NDArray[np.bool_], params: VerifyParams
) -> NDArray[np.bool_] | None:
    """Find a translucent band along one side, under which the clean image fades towards one level.

    The band must cut through contents: what the clean image shows on both sides of the band's edge fades exactly at
    that edge. A different title above the same drawing cuts through nothing.
    """
    for turns in range(4):
        # Turn the side in question to the top.
        c, m, there = (np.rot90(image, turns) for image in (clean, marked, inside))
        height, width = c.shape
        limit = int(params.overlay.max_band * height)
        if limit < 12:
            continue
        ground = float(np.median(m[2 : max(4, height // 20)]))
        off = np.abs(c - ground)
        content = there & (off > params.overlay.faded_levels)
        faded = content & (np.abs(m - ground) < params.overlay.faded_share * off)
        gain = np.cumsum(faded.sum(1) - 0.6 * content.sum(1))[:limit]
        depth = int(np.argmax(gain)) + 1
        if depth < 6 or gain[depth - 1] <= 0 or depth + 5 > height:
            continue
        after = slice(depth + 2, 2 * depth + 2)
        if faded[:depth].sum() < 0.7 * content[:depth].sum() or faded[after].sum() > 0.15 * content[after].sum():
            continue
        # A caption has ink of its own; with less ink, the contents only faded.
        ink = (np.abs(m - ground) > params.overlay.faded_levels) & there
        if float(ink[:depth].mean()) < params.overlay.faded_ink:
            continue
        cut = faded[max(0, depth - 5) : depth].any(0) & (content & ~faded)[depth : depth + 5].any(0)
        if np.count_nonzero(cut) < max(6.0, params.overlay.faded_cut * width):
            continue
        place = np.zeros(c.shape, bool)
        place[: depth + params.window.side] = True
        return np.ascontiguousarray(np.rot90(place, -turns))
    return None


def unexplained_by_watermark(
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    inside: NDArray[np.bool_],
    signals: tuple[NDArray[np.complex64], NDArray[np.complex64]],
    params: VerifyParams,
) -> NDArray[np.float32] | None:
    """Compute the difference of two images that a translucent black or white mark on one of them does not explain.

    A mark of opacity p changes every level v to v + p * (ink - v). All marked pixels change in the same direction and
    no further than the opacity allows, the contents under the mark still show, and their colors only fade, because the
    mark has none. A changed letter changes pixels in both directions and completely.

    Args:
        one: float32 [h, w], of one tone and sharpness with the other.
        two: float32 [h, w].
        inside: bool [h, w], where both images have pixels.
        signals: complex64 [h, w], color difference signals of both.
        params: parameters of the verification.

    Returns:
        float32 [h, w], the unexplained difference, in levels; None if there is no sign of a mark.
    """
    best: tuple[float, NDArray[np.float32]] | None = None
    for clean, marked, color, marked_color in ((one, two, *signals), (two, one, *signals[::-1])):
        for ink in (0.0, 255.0):
            room = ink - clean
            change = marked - clean
            there = inside & (np.abs(change) > params.overlay.min_difference) & (np.abs(room) > 80)
            count = int(np.count_nonzero(there))
            if count < 200:
                continue
            opacity = change[there] / room[there]
            if is_thick(there, params):
                continue
            right = float((opacity > 0).mean())
            if right < 0.85:
                continue
            typical = float(np.median(opacity[opacity > 0]))
            if not 0.1 < typical < params.overlay.mark_opacity:
                continue
            if float((np.abs(opacity - typical) < 0.12).mean()) < params.overlay.mark_even:
                continue
            faded = color[there] * (1 - np.clip(opacity, 0, 1))
            if float((np.abs(marked_color[there] - faded) > params.overlay.mark_color).mean()) > 0.1:
                continue
            full = (typical + 0.08) * room
            allowed = np.clip(change, np.minimum(full, 0), np.maximum(full, 0))
            rest = np.where(inside, np.abs(change - allowed), 0).astype(np.float32)
            score = float((rest[inside] > params.overlay.min_difference).mean())
            if best is None or score < best[0]:
                best = (score, rest)
    return None if best is None else best[1]


def is_thick(place: NDArray[np.bool_], params: VerifyParams) -> bool:
    """Return whether an area is anywhere too wide for the strokes of letters."""
    import cv2

    side = max(5, round(params.overlay.mark_stroke * min(place.shape)))
    left = cv2.erode(place.astype(np.uint8), np.ones((side, side), np.uint8), borderValue=0)
    return int(np.count_nonzero(left)) > 0
