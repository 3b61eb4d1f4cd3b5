"""Single images with the start of their texts in one HTML file, such as what a search found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from visdiv_assets.corpus.image_lookup import ImageRef
from visdiv_assets.imaging import thumbnails
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.thumbnails import Thumbnail
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.html_files import content_policy, read_template, template, write_page
from visdiv_assets.publishing.text_cells import Text

_TITLE = 300
_TEXT = 160


@dataclass(frozen=True, slots=True)
class GalleryEntry:
    """An image of the page.

    Attributes:
        image: where it lies, its bytes, and the text of its row as its note.
        score: as it is shown beside it.
    """

    image: ImageRef
    score: float


@dataclass(frozen=True, slots=True)
class _Shown:
    small: Thumbnail
    place: Text
    position: str
    score: str
    text: Text


def gallery(title: str, entries: Sequence[GalleryEntry], *, limits: DecodeLimits) -> str:
    """Write images as a page that needs no server, no network and no script.

    Args:
        title: what they are.
        entries: in order. An image that cannot be read is a gray box which says why.
        limits: of images; a larger one counts as unreadable.

    Returns:
        The page, below 6 MB; all texts are escaped.
    """
    small = thumbnails.thumbnails((e.image.data for e in entries), limits=limits)
    full = text_cells.full_length([entry.image.note for entry in entries])
    styles = {
        "gallery": read_template("gallery.css"),
        "images": thumbnails.styles(small.values()),
    }
    shown = [
        _Shown(
            small[thumbnails.key_of(entry.image.data)],
            text_cells.shorten(entry.image.place),
            f"row {entry.image.row}, image {entry.image.image_index}",
            f"{entry.score:.3f}",
            text_cells.shorten(entry.image.note, shown=_TEXT, full=full),
        )
        for entry in entries
    ]
    return template("gallery.html").render(
        title=text_cells.clean(title, _TITLE),
        count=f"{len(entries)} {'image' if len(entries) == 1 else 'images'}, the best first.",
        entries=shown,
        styles=styles,
        policy=content_policy(styles.values()),
    )


def write_gallery(title: str, entries: Sequence[GalleryEntry], path: Path, *, limits: DecodeLimits) -> int:
    """Write a `gallery` to a file in one atomic step; returns its size in bytes.

    Raises:
        VisdivError: the disk is full, or the place cannot be written.
    """
    return write_page(gallery(title, entries, limits=limits), path)
