"""The page on inappropriate content: images by CLIP, blurred at first, and words of a list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from visdiv_assets.corpus.image_lookup import ImagePosition
from visdiv_assets.publishing.site.page_model import (
    ROWS_SHOWN,
    Entry,
    Grid,
    Group,
    Heading,
    Page,
    Section,
    count,
    number,
    share,
)
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.sources import Kind
from visdiv_assets.wording import several

#: Images with the highest scores that are listed, and those of them that are shown.
LISTED, SHOWN = 200, 24

_SUMMARY = """
SELECT subset, topic::VARCHAR AS topic, images, p50, p90, p99, highest, images_closer, share_closer
FROM inappropriate_image_summary ORDER BY share_closer DESC, highest DESC, subset, topic
"""

#: Each different image once, at its first position.
_WORST = """
SELECT w.subset, w."row", w.image_index, w.image_id, w.topic::VARCHAR AS topic, w.score, i.file, i.row_in_file
FROM (
    SELECT * FROM inappropriate_images WHERE score IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY subset, "row", image_index) = 1
    ORDER BY score DESC, subset, "row", image_index LIMIT $limit
) w LEFT JOIN images i USING (subset, "row", image_index)
ORDER BY w.score DESC, w.subset, w."row", w.image_index
"""

_SEARCHED = "SELECT * REPLACE (side::VARCHAR AS side) FROM listed_word_summary ORDER BY rows DESC, subset, side"

_WORDS = f"""
SELECT word, count(*) AS matches, count(DISTINCT (subset, "row")) AS rows, count(DISTINCT subset) AS subsets
FROM listed_words GROUP BY word ORDER BY rows DESC, word LIMIT {ROWS_SHOWN}
"""

_FOUND = f"""
SELECT subset, "row", side::VARCHAR AS side, count(DISTINCT word) AS words FROM listed_words GROUP BY ALL
ORDER BY words DESC, subset, "row", side LIMIT {ROWS_SHOWN}
"""

_INTRODUCTION = (
    "Images and texts that a person should look at. Nothing is dropped by this report. Scores compare the CLIP vector "
    "of an image with prompts, without training, and are not calibrated: a high one may be wrong, and a low one is no "
    "proof. A list of words knows no context."
)


def page(corpus: Corpus) -> Page:
    """Make the page: scores by subset and topic, the images with the highest ones, and listed words."""
    summary = corpus.warehouse.rows_of("inappropriate_images", _SUMMARY)
    if summary:
        sections = [Section("Images by CLIP", grids=[_summary(summary)]), _worst(corpus)]
    else:
        nothing = "No image has a score: set VISDIV_CLIP_MODEL to CLIP weights, then run `visdiv run --all`."
        sections = [Section("Images by CLIP", nothing=nothing)]
    return Page("inappropriate.html", "Inappropriate content", _INTRODUCTION, [*sections, _words(corpus)])


def _summary(rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Subset"),
        Heading("Topic"),
        Heading("Images"),
        Heading("Median"),
        Heading("90 %", "Score that 90 % do not exceed."),
        Heading("99 %", "Score that 99 % do not exceed."),
        Heading("Highest"),
        Heading("Closer", "Images that are closer to the topic than to its opposite: a score above 0.5."),
        Heading("Share"),
    ]
    table = [
        [
            Entry(row["subset"]),
            Entry(row["topic"].replace("_", " ")),
            count(row["images"]),
            *(number(row[name], 3) for name in ("p50", "p90", "p99", "highest")),
            count(row["images_closer"]),
            share(row["share_closer"]),
        ]
        for row in rows
    ]
    return Grid("Scores by subset and topic", headings, table, opened=True)


def _worst(corpus: Corpus) -> Section:
    rows = corpus.warehouse.rows(_WORST, limit=LISTED)
    headings = [Heading("Subset"), Heading("Row"), Heading("File"), Heading("Row in file"), Heading("Image")]
    headings += [Heading("Topic"), Heading("Score")]
    table = [
        [
            Entry(row["subset"]),
            count(row["row"]),
            Entry(row["file"]),
            count(row["row_in_file"]),
            count(row["image_index"]),
            Entry(row["topic"].replace("_", " ")),
            number(row["score"], 3),
        ]
        for row in rows
    ]
    grid = Grid(f"The {several(len(rows), 'image')} with the highest scores", headings, table)
    return Section("Highest scores", grids=[grid], groups=_groups(corpus, rows[:SHOWN]))


def _groups(corpus: Corpus, rows: list[dict[str, Any]]) -> list[Group]:
    if corpus.images is None or not rows:
        return []
    notes = {
        ImagePosition(row["subset"], row["row"], row["image_index"], row["image_id"]): (
            f"{row['topic'].replace('_', ' ')} {row['score']:.3f}"
        )
        for row in rows
    }
    found = corpus.images.read(Kind.SUBSET, list(notes))
    images = [replace(found[position], note=note) for position, note in notes.items()]
    about = "Images are blurred until the pointer is over them, or they have the focus of the keyboard."
    return [Group(f"The {several(len(images), 'image')} with the highest scores", about, images, blurred=True)]


def _words(corpus: Corpus) -> Section:
    searched = corpus.warehouse.rows_of("provenance", _SEARCHED)
    if not searched:
        nothing = (
            "No text was searched: name a list by VISDIV_BLOCKLIST, or install the extra `words`, then run "
            "`visdiv run --all`."
        )
        return Section("Listed words", nothing=nothing)
    headings = [Heading("Subset"), Heading("Text"), Heading("Rows"), Heading("Different words"), Heading("Share")]
    table = [
        [Entry(row["subset"]), Entry(row["side"]), count(row["rows"]), count(row["words"]), share(row["share"])]
        for row in searched
    ]
    grids = [Grid("Rows with listed words, by subset and kind of text", headings, table, opened=True)]
    if rows := corpus.warehouse.rows_of("listed_words", _FOUND):
        headings = [Heading("Subset"), Heading("Row"), Heading("Text"), Heading("Different words")]
        table = [[Entry(row["subset"]), count(row["row"]), Entry(row["side"]), count(row["words"])] for row in rows]
        grids.append(Grid("Rows with listed words", headings, table))
        words = corpus.warehouse.rows(_WORDS)
        headings = [Heading("Word"), Heading("Rows"), Heading("Subsets"), Heading("Matches")]
        table = [
            [Entry(row["word"]), count(row["rows"]), count(row["subsets"]), count(row["matches"])] for row in words
        ]
        grids.append(Grid("Words, spelled out", headings, table))
    return Section("Listed words", grids=grids)
