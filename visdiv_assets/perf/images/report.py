"""The tables that `visdiv perf --rehearse-images` prints."""

from __future__ import annotations

from collections.abc import Sequence

from visdiv_assets.perf.images.rehearse import ImageRehearsal

NOTE = (
    "All figures are measured, on drawn images: photographs are random patterns with texture and objects, charts and "
    "pages share templates. Two of a kind are more similar than real ones, so they have more candidates. Core-ms "
    "are processor time of all threads. CLIP is not included."
)


def report(rehearsal: ImageRehearsal) -> str:
    """Return all tables of a rehearsal with images as text."""
    ran = rehearsal.ran
    peak = "" if ran.peak_mb is None else f", peak memory {ran.peak_mb:,.0f} MB"
    title = (
        f"{rehearsal.images:,} images and {rehearsal.benchmark_images:,} of benchmarks, "
        f"{rehearsal.source_bytes / 1e9:.2f} GB, on {rehearsal.cores} cores: {ran.seconds:,.0f} s{peak}. From bytes "
        f"to all products {rehearsal.pass_ms:.1f} core-ms per image, the SSCD model alone {rehearsal.model_ms:.1f}; "
        f"{rehearsal.pairs_per_image:.2f} candidate pairs per image, {rehearsal.comparing_ms:.1f} core-ms per pair."
    )
    return "\n\n".join([title, steps(rehearsal), candidates(rehearsal), found(rehearsal), stored(rehearsal), NOTE])


def steps(rehearsal: ImageRehearsal) -> str:
    """Return the table of the time of each step."""
    count = rehearsal.images + rehearsal.benchmark_images
    rows = [
        (
            step.step,
            step.group,
            f"{step.seconds:,.1f}",
            f"{step.core_seconds:,.1f}",
            f"{step.core_seconds * 1e3 / count:,.2f}",
        )
        for step in rehearsal.ran.steps
    ]
    return _table(rows, ("step", "group", "seconds", "core-seconds", "core-ms per image"))


def candidates(rehearsal: ImageRehearsal) -> str:
    """Return the table of candidate pairs per image and verdicts."""
    rows = [
        (
            each.place,
            each.image_kind,
            f"{each.images:,}",
            f"{each.pairs:,}",
            f"{each.pairs / max(each.images, 1):.2f}",
            f"{each.confirmed:,}",
            f"{each.rejected:,}",
            f"{each.pairs - each.confirmed - each.rejected:,}",
        )
        for each in rehearsal.candidates
    ]
    headers = ("pairs", "kind", "images", "candidates", "per image", "confirmed", "rejected", "undecided")
    return _table(rows, headers)


def found(rehearsal: ImageRehearsal) -> str:
    """Return the table of planted copies that were found."""
    rows = [
        (each.place, each.image_kind, f"{each.planted:,}", f"{each.candidates:,}", f"{each.confirmed:,}")
        for each in rehearsal.found
    ]
    return _table(rows, ("copies", "kind", "planted", "candidates", "confirmed"))


def stored(rehearsal: ImageRehearsal) -> str:
    """Return the table of the stored bytes."""
    count = rehearsal.images + rehearsal.benchmark_images
    rows = [
        (each.table, f"{each.bytes / 1e6:,.2f}", f"{each.bytes / count:,.0f}", f"{each.files:,}")
        for each in rehearsal.stored
    ]
    total, files = sum(each.bytes for each in rehearsal.stored), sum(each.files for each in rehearsal.stored)
    rows.append(("total", f"{total / 1e6:,.2f}", f"{total / count:,.0f}", f"{files:,}"))
    return _table(rows, ("table", "MB", "bytes per image", "files"))


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
