"""A damaged file of a source gives one line or an unreadable image, never a wrong table; other subsets still run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from visdiv_assets_tests.conftest import Pipeline, Row, image, one_each
from visdiv_assets_tests.reliability.processes import contents

STAGES = ("subset_images", "subset_turns", "quality_rows")

#: A readable image whose bytes occur nowhere else in a file.
MARKED = image(7)


def cut_in_the_middle(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def flip_in_an_image(file: Path) -> None:
    """One byte of an image's pixels; PNG has checksums of its own."""
    content = bytearray(file.read_bytes())
    place = content.index(MARKED) + len(MARKED) // 2
    content[place] ^= 1
    file.write_bytes(content)


def flip_in_a_length(file: Path) -> None:
    """One byte of an image's length, which comes before it: the page holds one gigabyte more by what it says."""
    content = bytearray(file.read_bytes())
    place = content.index(MARKED) - 1
    content[place] ^= 0x40
    file.write_bytes(content)


def flip_in_a_page_header(file: Path) -> None:
    content = bytearray(file.read_bytes())
    columns = pq.read_metadata(file).row_group(0)
    (images,) = (
        columns.column(number)
        for number in range(columns.num_columns)
        if columns.column(number).path_in_schema == "images.list.element.bytes"
    )
    content[images.data_page_offset] ^= 0xFF
    file.write_bytes(content)


def rewrite(file: Path, *, checksums: bool) -> None:
    """The same rows, uncompressed, so that an image's bytes are found in the file."""
    table = pq.read_table(file)
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, file, **plain, write_page_checksum=checksums)


def with_a_second_file(pipeline: Pipeline, *, checksums: bool) -> Path:
    _, second = pipeline.write("broken", one_each([0, 1]), [*one_each([5, 6]), Row([MARKED]), *one_each([8])])
    pipeline.write("fine", one_each([2, 3]))
    rewrite(second, checksums=checksums)
    return second


@pytest.mark.parametrize(
    ("damage", "checksums"),
    [
        (cut_in_the_middle, False),
        (flip_in_a_page_header, False),
        (flip_in_a_length, False),
        (flip_in_an_image, True),
        (flip_in_a_length, True),
        (flip_in_a_page_header, True),
    ],
)
def test_a_damaged_file_is_one_line_and_no_table_is_written(
    pipeline: Pipeline, damage: Callable[[Path], None], checksums: bool
) -> None:
    second = with_a_second_file(pipeline, checksums=checksums)
    sound = second.read_bytes()
    damage(second)
    ran = pipeline.run("broken", only=STAGES)
    message = ran.failures["subset_pass"]
    assert message is not None
    assert message.startswith(f"{second} is not a readable Parquet file")
    assert "\n" not in message
    assert contents(pipeline.settings) == {}
    assert pipeline.run("fine", only=STAGES).success
    assert set(contents(pipeline.settings)) == {"subset_images/fine", "subset_turns/fine", "quality_rows/fine"}
    second.write_bytes(sound)
    assert pipeline.run("broken", only=STAGES).success
    assert set(statuses(pipeline)) == {"ok"}


def statuses(pipeline: Pipeline) -> list[str]:
    found: list[str] = pipeline.lake.read(pipeline.lake.require("subset_images", "broken"))["status"].to_pylist()
    return found


def test_a_flipped_byte_without_a_checksum_is_a_corrupt_image(
    pipeline: Pipeline,
) -> None:
    flip_in_an_image(with_a_second_file(pipeline, checksums=False))
    ran = pipeline.run("broken", only=STAGES)
    assert ran.success
    assert statuses(pipeline) == ["ok", "ok", "ok", "ok", "corrupt", "ok"]
    assert ran.metadata("subset_images")["images_unreadable"] == 1


def test_truncated_files_never_give_a_table_with_fewer_rows(pipeline: Pipeline) -> None:
    second = with_a_second_file(pipeline, checksums=False)
    sound = second.read_bytes()
    for length in range(0, len(sound), len(sound) // 12):
        second.write_bytes(sound[:length])
        ran = pipeline.run("broken", only=["subset_images"])
        assert ran.failures["subset_pass"] is not None
        assert contents(pipeline.settings) == {}
