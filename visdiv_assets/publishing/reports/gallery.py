"""Write single images with the start of their texts as one HTML file, such as the results of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from visdiv_assets.corpus.image_lookup import ImageRef
from visdiv_assets.imaging import thumbnails
from visdiv_assets.imaging.thumbnails import Thumbnail
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.html_files import content_policy, read_template, template, write_page
from visdiv_assets.publishing.text_cells import Text
from visdiv_assets.wording import several

_TITLE = 300
_TEXT = 160


@dataclass(frozen=True, slots=True)
class GalleryEntry:
    """An image of the page.

    Attributes:
        image: its position, its thumbnail, and the text of its row as note.
        score: number shown next to it.
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


def gallery(title: str, entries: Sequence[GalleryEntry]) -> str:
    """Render images as a page that needs no server, no network and no script.

    Args:
        title: title of the page.
        entries: the images, in order. An unreadable image is shown as a gray box with the reason.

    Returns:
        the page, less than 6 MB; all texts are escaped.
    """
    small = thumbnails.thumbnails(entry.image.preview for entry in entries)
    full = text_cells.full_length([entry.image.note for entry in entries])
    styles = {
        "gallery": read_template("gallery.css"),
        "images": thumbnails.styles(small.values()),
    }
    shown = [
        _Shown(
            small[entry.image.preview],
            text_cells.shorten(entry.image.place),
            text_cells.position(entry.image),
            f"{entry.score:.3f}",
            text_cells.shorten(entry.image.note, shown=_TEXT, full=full),
        )
        for entry in entries
    ]
    return template("gallery.html").render(
        title=text_cells.clean(title, _TITLE),
        count=f"{several(len(entries), 'image')}, best first.",
        entries=shown,
        styles=styles,
        policy=content_policy(styles.values()),
    )


def write_gallery(title: str, entries: Sequence[GalleryEntry], path: Path) -> int:
    """Write a `gallery` to a file in one atomic step and return its size in bytes.

    Raises:
        StorageError: the file cannot be written.
    """
    return write_page(gallery(title, entries), path)
