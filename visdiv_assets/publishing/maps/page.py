"""Write the maps of a subset as one interactive HTML file, with thumbnails on hover."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.html_files import content_policy, read_template, script_json, template, write_page
from visdiv_assets.publishing.maps.layout import PCA, TSNE, UMAP
from visdiv_assets.publishing.site_head import SiteHead

#: Maximum characters of a row's texts on the page.
TEXT_SHOWN = 160
_WORDS = 120
#: Units of a coordinate on the page along the longer side of a map.
SIDE = 10_000

LAYOUT_TITLES = {UMAP: "UMAP", TSNE: "t-SNE", PCA: "PCA"}
KIND_TITLES = {"sscd": "Images, by SSCD", "clip_image": "Images, by CLIP", "clip_text": "Texts, by CLIP"}


def map_page(
    title: str,
    points: pa.Table,
    *,
    images: Mapping[str, str] | None = None,
    texts: Mapping[int, str] | None = None,
    head: SiteHead | None = None,
) -> str:
    """Render maps as a page that needs no server and no network.

    Args:
        title: title of the page.
        points: table of `maps.points.POINTS_SCHEMA`, not empty.
        images: Base64-encoded WebP images by image_id; a point without one shows only its texts.
        texts: texts by row.
        head: what the head says of the dataset, with links to the site; None for a page on its own.

    Returns:
        The page: about 40 bytes per point, plus the images. It can be encoded as UTF-8. Its content policy allows no
        script but its own, and all texts are escaped.

    Raises:
        ValueError: there are no points.
    """
    if not points.num_rows:
        raise ValueError("there is nothing to show: the subset has no vectors")
    images, texts = images or {}, texts or {}
    image_of = {image_id: index for index, image_id in enumerate(images)}
    rows = list(dict.fromkeys(points["row"].to_pylist()))
    text_of = {row: index for index, row in enumerate(rows)}
    maps = []
    clusters = []
    for kind in dict.fromkeys(points["kind"].to_pylist()):
        of_kind = points.filter(pc.equal(points["kind"], kind))
        layouts = {
            name: of_kind.filter(pc.equal(of_kind["layout"], name))
            for name in dict.fromkeys(of_kind["layout"].to_pylist())
        }
        # The layouts show the same points in the same order.
        columns: dict[str, list[Any]] = next(iter(layouts.values())).to_pydict()
        names: dict[int, str] = {}
        counts: dict[int, int] = {}
        for cluster, name in zip(columns["cluster"], columns["cluster_name"], strict=True):
            if cluster >= 0:
                names.setdefault(cluster, text_cells.clean(name, _WORDS))
                counts[cluster] = counts.get(cluster, 0) + 1
        maps.append(
            {
                "kind": kind,
                "title": KIND_TITLES[kind],
                "layouts": [_layout(name, shown) for name, shown in layouts.items()],
                "cluster": columns["cluster"],
                "row": columns["row"],
                "image": [image_of.get(identity, -1) for identity in columns["id"]],
                "text": [text_of[row] for row in columns["row"]],
                "name": [names.get(index, "") for index in range(max(names, default=-1) + 1)],
            }
        )
        clusters += [
            {"kind": kind, "title": KIND_TITLES[kind], "cluster": index, "words": names[index], "points": counts[index]}
            for index in sorted(names)
        ]
    data = {
        "maps": maps,
        "images": list(images.values()),
        "texts": [text_cells.shorten(texts.get(row, ""), shown=TEXT_SHOWN, full=0).shown for row in rows],
    }
    styles = {"page": read_template("page.css"), "map": read_template("map.css")}
    script = read_template("map.js")
    return template("map.html").render(
        title=text_cells.clean(title, 300),
        clusters=clusters,
        data=script_json(data),
        head=head,
        styles=styles,
        script=script,
        policy=content_policy(styles.values(), script) + "; style-src-attr 'none'",
    )


def _layout(name: str, points: pa.Table) -> dict[str, Any]:
    """Return the coordinates of a layout, in parts of its longer side; on the page y grows downward."""
    x, y = (points[axis].to_numpy().astype(np.float64) for axis in ("x", "y"))
    longer = max(np.ptp(x), np.ptp(y)) or 1.0
    return {
        "name": name,
        "title": LAYOUT_TITLES[name],
        "x": np.round((x - x.min()) * SIDE / longer).astype(int).tolist(),
        "y": np.round((y.max() - y) * SIDE / longer).astype(int).tolist(),
    }


def write_map(
    title: str,
    points: pa.Table,
    path: Path,
    *,
    images: Mapping[str, str] | None = None,
    texts: Mapping[int, str] | None = None,
    head: SiteHead | None = None,
) -> int:
    """Write a `map_page` to a file in one atomic step and return its size in bytes.

    Raises:
        StorageError: the file cannot be written.
    """
    return write_page(map_page(title, points, images=images, texts=texts, head=head), path)
