"""What a source holds beside its rows, by folder, ending and kind."""

from __future__ import annotations

from visdiv_assets.errors import SourceError
from visdiv_assets.sources.image_folder import SUFFIXES
from visdiv_assets.sources.left_out import OTHER, UNREADABLE, SkippedFiles, count_by_kind, describe_left_out

PATHS = sorted([*(f"logos/{n}.SVG" for n in range(5)), "a/notes.txt", "a/more.txt", "a/raw", "a/1.png", "README.md"])


def test_files_are_grouped_by_folder_and_ending() -> None:
    assert describe_left_out(PATHS, {"a/1.png"}) == [
        SkippedFiles("a", ".txt", "texts", 2, ("a/more.txt", "a/notes.txt")),
        SkippedFiles("a", "", OTHER, 1, ("a/raw",)),
        SkippedFiles("logos", ".svg", "vector graphics", 5, ("logos/0.SVG", "logos/1.SVG", "logos/2.SVG")),
    ]


def test_few_files_are_named_and_many_counted() -> None:
    lines = list(map(str, describe_left_out(PATHS, {"a/1.png"})))
    assert lines == ["a/more.txt, a/notes.txt", "a/raw", "logos/0.SVG and 4 more (.svg)"]


def test_files_are_counted_by_kind_the_most_frequent_first() -> None:
    found = describe_left_out(PATHS, {"a/1.png"}, [SourceError("cannot list x: denied")])
    assert count_by_kind(found) == f"9 files (5 vector graphics, 2 texts, 1 {OTHER}, 1 {UNREADABLE})"
    assert count_by_kind(found[:1]) == "2 files (texts)"
    assert str(found[-1]) == "cannot list x: denied"


def test_every_ending_of_an_image_is_known() -> None:
    for suffix in SUFFIXES:
        (group,) = describe_left_out([f"x{suffix}"], ())
        assert group.kind == "images outside the layout"
