"""The site says what SQL says, escapes what it shows, leads nowhere that is not there, and is whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import pytest
import vl_convert

from visdiv_assets.errors import VisdivError
from visdiv_assets.publishing.html_files import write_page
from visdiv_assets.publishing.site import build
from visdiv_assets.publishing.site.build import PAGES, build_site
from visdiv_assets.publishing.site.render import SCRIPT
from visdiv_assets.publishing.site.report_data import Corpus, open_report_data
from visdiv_assets.publishing.site_head import FOLDER, SITE_PAGES
from visdiv_assets.publishing.warehouse.schema import TABLES
from visdiv_assets.storage.files import escape
from visdiv_assets_tests.publishing.reports.examples import UnreadableImages
from visdiv_assets_tests.publishing.site.corpora import MadeUp, finevision, make
from visdiv_assets_tests.publishing.site.pages import ReadPage

#: Names as datasets have them, and one that would be markup.
SUBSETS = ("clevr_math(mathv360k)", "geoqa+ 50%", "<b onclick=alert(1)>\"x\" & 'y'</b>", "small")
BENCHMARKS = ("lmms-lab-ai2d_test", "</script><img src=x>")

FILES = tuple(Path(file).stem for file in SITE_PAGES)


@contextmanager
def corpus_of(made: MadeUp) -> Iterator[Corpus]:
    with open_report_data(made.warehouse) as warehouse:
        yield Corpus(
            warehouse,
            made.lake,
            None,
            made.reports,
            contamination_threshold=0.95,
            duplicate_threshold=0.95,
        )


def built(made: MadeUp) -> dict[str, ReadPage]:
    """Build the site and read its pages, by name."""
    with corpus_of(made) as corpus:
        folder = build_site(corpus).parent
    return {path.stem: ReadPage(path) for path in folder.glob("*.html")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    found = make(tmp_path_factory.mktemp("site"), SUBSETS, BENCHMARKS)
    for folder, names in (("duplicates", SUBSETS), ("maps", SUBSETS), ("leaks", BENCHMARKS)):
        (found.reports / folder).mkdir(parents=True)
        for name in names[:-1]:
            (found.reports / folder / f"{escape(name)}.html").touch()
    return found


@pytest.fixture(scope="module")
def pages(made: MadeUp) -> dict[str, ReadPage]:
    return built(made)


@pytest.fixture
def copied(made: MadeUp, tmp_path: Path) -> MadeUp:
    """The same findings, to be broken by a test."""
    shutil.copy(made.warehouse, tmp_path / "visdiv.duckdb")
    return MadeUp(tmp_path / "visdiv.duckdb", made.lake, tmp_path / "reports")


def sql(made: MadeUp, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(made.warehouse), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def execute(made: MadeUp, statement: str) -> None:
    with duckdb.connect(str(made.warehouse)) as connection:
        connection.execute(statement)


def test_the_overview_has_a_row_for_each_subset_as_sql_has_it(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    page = pages["index"]
    (table,) = page.tables
    found = sql(
        made,
        """SELECT s.subset, s.images, s.images_unique, d.effective_rank, r.rate FROM subsets s
        JOIN diversity d ON d.subset = s.subset AND scope = 'subset' AND centered
        JOIN contamination_rates r ON r.subset = s.subset AND benchmark = 'ALL' AND rule = 'confirmed'
        ORDER BY images DESC, s.subset""",
    )
    assert page.column(table, "Subset") == [row[0] for row in found]
    assert page.values(table, "Images") == [row[1] for row in found]
    assert page.values(table, "Unique") == [row[2] for row in found]
    assert page.values(table, "Effective rank") == [row[3] for row in found]
    assert page.values(table, "In a benchmark, confirmed") == [row[4] for row in found]


def test_pages_have_the_files_and_titles_of_the_navigation(made: MadeUp) -> None:
    with corpus_of(made) as corpus:
        built_pages = [make_page(corpus) for make_page in PAGES]
    assert {page.file: page.title for page in built_pages} == SITE_PAGES
    assert [page.file for page in built_pages] == list(SITE_PAGES)


@pytest.mark.parametrize("name", FILES)
def test_the_head_names_the_data_set_and_the_date(name: str, pages: dict[str, ReadPage]) -> None:
    assert "made/up 2026-01-02 03:04 UTC" in pages[name].words
    current = [given["href"] for tag, given in pages[name].tags if tag == "a" and "aria-current" in given]
    assert current == [f"{name}.html"]


def judge(made: MadeUp, kind: str, decisions: str) -> None:
    execute(
        made,
        f"""INSERT INTO review_decisions BY NAME
        SELECT n AS image_id_a, 'x' AS image_id_b, '{kind}' AS kind, d AS decision, 'confirmed' AS pixel_verdict,
            'cropped' AS evidence, true AS sampled, 'small' AS subset
        FROM (SELECT unnest({decisions}) AS d, generate_subscripts({decisions}, 1) AS n)""",
    )


def test_pages_say_the_precision_that_people_measured(copied: MadeUp) -> None:
    judge(copied, "duplicates", "['right', 'right', 'right', 'wrong', 'unsure']")
    pages = built(copied)
    sentence = "1 of 4 confirmed pairs of a random sample were judged wrong: precision 75.0 %"
    assert f"Copies: {sentence}" in pages["index"].words
    assert sentence in pages["clusters"].words
    assert "judged wrong" not in pages["contamination"].words
    (table,) = [name for name, rows in pages["clusters"].tables.items() if "Precision" in rows[0]]
    assert pages["clusters"].column(table, "Subset") == ["all", "all", "small", "small"]
    assert pages["clusters"].values(table, "Wrong") == [1, 1, 1, 1]


def test_pages_say_nothing_of_precision_if_nobody_judged(pages: dict[str, ReadPage]) -> None:
    assert not any("judged wrong" in page.words for page in pages.values())


def test_the_overview_says_what_a_clean_copy_keeps(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    (rows, dropped) = sql(
        made, "SELECT sum(rows) FROM subsets UNION ALL SELECT count(*) FROM dropped_rows ORDER BY 1 DESC"
    )
    assert f"{rows[0] - dropped[0]:,} (" in pages["index"].words
    found = dict(
        sql(
            made,
            """SELECT subset, 1 - count(d.row) / any_value(s.rows) FROM subsets s LEFT JOIN dropped_rows d
            USING (subset) GROUP BY subset""",
        )
    )
    (table,) = pages["index"].tables
    kept = pages["index"].values(table, "Rows kept")
    assert kept == pytest.approx([found[name] for name in pages["index"].column(table, "Subset")])


def test_a_subset_added_later_is_not_decided_yet(copied: MadeUp) -> None:
    execute(copied, f"UPDATE rows SET kept = NULL WHERE subset = '{SUBSETS[0]}'")
    execute(copied, f"DELETE FROM dropped_rows WHERE subset = '{SUBSETS[0]}'")
    pages = built(copied)
    page = pages["clean_copy"]
    table = next(name for name in page.tables if "Kept" in page.tables[name][0])
    shares = dict(zip(page.column(table, "Subset"), page.values(table, "Share kept"), strict=True))
    assert [name for name, share in shares.items() if share is None] == [f"{SUBSETS[0]} not decided yet"]
    (decided,) = sql(copied, f"SELECT sum(rows) FROM subsets WHERE subset <> '{SUBSETS[0]}'")
    (others,) = sql(copied, f"SELECT rows FROM subsets WHERE subset = '{SUBSETS[0]}'")
    for name in ("clean_copy", "index"):
        assert f"{decided[0]:,}" in pages[name].words
        assert f"{others[0]:,} rows of 1 subset" in pages[name].words


def test_dropped_rows_are_counted_by_subset_and_reason(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    page = pages["clean_copy"]
    found = sql(made, "SELECT subset, reason::VARCHAR, count(*) FROM dropped_rows GROUP BY ALL")
    rows = dict(sql(made, "SELECT subset, rows FROM subsets"))
    assert {(row["subset"], row["reason"]): row["value"] for row in page.charts["dropped"]["values"]} == {
        (subset, reason): round(number / rows[subset], 6) for subset, reason, number in found
    }
    table = next(name for name in page.tables if "Kept" in page.tables[name][0])
    duplicates = {subset: number for subset, reason, number in found if reason == "duplicate"}
    listed = zip(page.column(table, "Subset"), page.values(table, "Duplicate"), strict=True)
    assert dict(listed) == {subset: duplicates.get(subset, 0) for subset in SUBSETS}


def test_without_decisions_the_clean_copy_is_not_described(copied: MadeUp) -> None:
    execute(copied, "DELETE FROM provenance WHERE table_name = 'curated_rows'")
    pages = built(copied)
    assert "No rows were decided on yet" in pages["clean_copy"].words
    assert "What a clean copy keeps" not in pages["index"].words


def test_shared_texts_are_shown_by_the_strictest_rule_that_finds_any(pages: dict[str, ReadPage]) -> None:
    page = pages["texts"]
    (param,) = page.charts["texts"]["spec"]["params"]
    assert param["value"] == "8 words in a row are shared"
    assert {row["rule"] for row in page.charts["texts"]["values"]} == {
        "8 words in a row are shared",
        "13 words in a row are shared",
        "a short text is shared as a whole",
    }
    passages = next(name for name in page.tables if "Turn" in page.tables[name][0])
    assert page.values(passages, "Longest shared passage, words") == [20, 19, 18, 17]


def test_scores_of_clip_are_those_of_the_summary(pages: dict[str, ReadPage]) -> None:
    rows = pages["alignment"].charts["alignment"]["values"]
    turns = {row["subset"]: (row["low"], row["median"], row["high"]) for row in rows if row["unit"] == "turn"}
    assert turns[SUBSETS[0]] == pytest.approx((0.375, 0.5, 0.625))
    assert set(turns) == set(SUBSETS)


def test_selection_shows_the_methods_that_have_scores(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    rows = pages["selection"].charts["selection"]["values"]
    assert {row["method"] for row in rows} == {"SemDeDup", "Conformity", "CLIPScore"}
    medians = dict(sql(made, "SELECT subset, median(semdedup) FROM selection_scores GROUP BY subset"))
    found = {row["subset"]: row["median"] for row in rows if row["method"] == "SemDeDup"}
    assert found == pytest.approx(medians, abs=1e-5)


def test_maps_are_linked_and_their_clusters_named(pages: dict[str, ReadPage]) -> None:
    page = pages["maps"]
    assert len({link for link in page.links if link.startswith("../maps/")}) == len(SUBSETS) - 1
    points, clusters = page.tables
    assert page.values(points, "Points") == [6] * len(SUBSETS)
    assert page.values(points, "Clusters") == [2] * len(SUBSETS)
    assert set(page.column(clusters, "Words")) == {"red, bird"}


def test_the_share_of_copies_leaves_unreadable_positions_out(copied: MadeUp) -> None:
    execute(
        copied, "UPDATE subsets SET images = 100, images_unreadable = 20, images_unique = 60 WHERE subset = 'small'"
    )
    page = built(copied)["index"]
    (table,) = page.tables
    at = page.column(table, "Subset").index("small")
    assert page.column(table, "Byte-equal copies")[at] == "25.00 %"


def test_small_sets_are_marked_where_their_score_is_shown(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    (table,) = pages["index"].tables
    marked = [text.endswith("too few") for text in pages["index"].column(table, "Score")]
    few = dict(sql(made, "SELECT subset, too_few FROM diversity WHERE scope = 'subset'"))
    assert marked == [few[name] for name in pages["index"].column(table, "Subset")]
    assert any(marked)


def test_the_heat_map_has_every_cell_that_sql_has(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    cells = pages["contamination"].charts["rates"]["values"]
    found = sql(
        made,
        """SELECT subset, benchmark,
            if(rule = 'confirmed', 'verification confirms it', 'its similarity is at least 0.95'), rate
        FROM contamination_rates WHERE benchmark <> 'ALL' AND (rule = 'confirmed' OR threshold = 0.95)""",
    )
    assert {(row["subset"], row["benchmark"], row["rule"], row["value"]) for row in cells} == {
        (*names, round(rate, 6)) for *names, rate in found
    }
    listed = pages["contamination"].tables["rates-table"][1:]
    assert len(listed) == sum(rate > 0 for *_, rate in found)


def test_the_matrix_of_overlaps_has_every_share_that_is_not_0(made: MadeUp, copied: MadeUp) -> None:
    execute(
        copied,
        "DELETE FROM subset_overlap; INSERT INTO subset_overlap VALUES ('small', 'other', 0.95, 40, 10, 4, 0.25), "
        "('other', 'small', 0.95, 100, 0, 0, 0.0), ('other', 'small', 0.75, 100, 50, 4, 0.5)",
    )
    page = built(copied)["overlap"]
    chart = page.charts["overlap"]
    assert [(row["subset"], row["other"], row["value"]) for row in chart["values"]] == [("small", "other", 0.25)]
    assert chart["spec"]["encoding"]["x"]["scale"]["domain"] == ["other", "small"]
    assert "1 of 2 cells are not 0. The highest share is 25.00 %, of small in other: 10 images, 4 of them" in page.words


def test_rarefied_scores_and_intervals_are_those_of_the_table(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    rows = pages["diversity"].charts["ranking"]["values"]
    found = sql(made, "SELECT subset, sample_size, score_mean, score_low, score_high FROM diversity_rarefied")
    assert {(row["subset"], row["size"], row["mean"], row["low"], row["high"]) for row in rows} == {
        (subset, f"{size:,}{' (too few)' if size < 1_024 else ''}", *(round(score, 5) for score in scores))
        for subset, size, *scores in found
    }


def test_the_initial_sample_size_is_one_that_most_subsets_have(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    """`small` has fewer than 1,024, so that a fourth of the subsets would be missing there."""
    (table,) = pages["index"].tables
    assert pages["index"].tables[table][0][-1] == "Score of 256"
    (chosen,) = pages["diversity"].charts["ranking"]["spec"]["params"]
    assert chosen["value"] == "256 (too few)"
    assert "256 are too few, fewer than two images per dimension" in pages["diversity"].words
    expected = dict(sql(made, "SELECT subset, score_mean FROM diversity_rarefied WHERE sample_size = 256"))
    names = pages["index"].column(table, "Subset")
    assert dict(zip(names, pages["index"].values(table, "Score of 256"), strict=True)) == expected


def test_the_whole_corpus_is_marked_if_it_is_too_small(copied: MadeUp) -> None:
    execute(copied, "UPDATE diversity SET too_few = true, score = 0.25 WHERE scope = 'corpus'")
    rows = [row for rows in built(copied)["diversity"].tables.values() for row in rows if row[0] == "all subsets here"]
    assert [row[-2].split() for row in rows] == [["0.250", "too", "few"]]


def test_scores_of_too_few_images_are_hollow_and_say_so(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    few = {(subset, images) for subset, images in sql(made, "SELECT subset, images FROM diversity WHERE too_few")}
    few |= {(subset, 256) for (subset,) in sql(made, "SELECT subset FROM diversity_rarefied WHERE sample_size = 256")}
    rows = pages["diversity"].charts["against_size"]["values"]
    assert {(row["subset"], row["images"]) for row in rows if row["too_few"]} == few
    assert all(row["said"].endswith("too few)") == row["too_few"] for row in rows)
    dots = pages["index"].charts["sizes"]["values"]
    assert {row["subset"] for row in dots if row["too_few"]} == {
        subset for (subset,) in sql(made, "SELECT subset FROM diversity WHERE too_few AND scope = 'subset'")
    }


def test_of_many_subsets_one_can_be_highlighted_by_keyboard(tmp_path: Path, pages: dict[str, ReadPage]) -> None:
    many = [f"subset {number}" for number in range(12)]
    params = built(make(tmp_path, many, ["a"]))["diversity"].charts["spectra"]["spec"]["params"]
    assert [param["bind"]["options"] for param in params] == [["", *sorted(many)]]
    assert "params" not in pages["diversity"].charts["spectra"]["spec"]


def test_subsets_without_images_have_no_cells(copied: MadeUp) -> None:
    execute(copied, "UPDATE contamination_rates SET rate = NULL, images = 0 WHERE subset = 'small'")
    page = built(copied)["contamination"]
    assert "1 subset without images cannot be compared." in page.words
    chart = page.charts["rates"]
    assert {row["subset"] for row in chart["values"]} == set(SUBSETS) - {"small"}
    assert len(chart["spec"]["encoding"]["y"]["scale"]["domain"]) == len(SUBSETS) - 1


def test_small_heat_maps_have_their_numbers_in_them(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    chart = pages["contamination"].charts["rates"]
    assert [layer["mark"]["type"] for layer in chart["spec"]["layer"]] == ["rect", "text"]
    assert not chart["canvas"]


def test_categories_are_shown_where_there_are_any(tmp_path: Path, pages: dict[str, ReadPage]) -> None:
    (table,) = pages["index"].tables
    assert "Category" in pages["index"].tables[table][0]
    page = built(make(tmp_path, ["mine", "yours"], []))["index"]
    (table,) = page.tables
    assert "Category" not in page.tables[table][0]


def test_published_scores_stand_beside_the_corpus(pages: dict[str, ReadPage]) -> None:
    names = [row[0] for rows in pages["diversity"].tables.values() for row in rows]
    assert {"FineVision", "Pascal VOC", "all subsets here"} <= set(names)


def test_each_subset_has_a_spectrum_of_at_most_1(pages: dict[str, ReadPage]) -> None:
    rows = pages["diversity"].charts["spectra"]["values"]
    assert {row["subset"] for row in rows} == set(SUBSETS)
    for subset in SUBSETS:
        shares = [row["share"] for row in rows if row["subset"] == subset]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1.001


def test_calibration_and_ratings_are_those_of_sql(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    recall = sorted(row["value"] for row in pages["thresholds"].charts["rules"]["values"] if row["measure"][0] == "r")
    assert recall == sorted(row[0] for row in sql(made, "SELECT recall FROM calibration WHERE copy_kind = 'ALL'"))
    turns = pages["quality"].values("ratings-table", "Turns")
    grouped = "SELECT sum(turns) FROM quality WHERE rating IS NOT NULL GROUP BY criterion, rating"
    assert sorted(turn for turn in turns if turn is not None) == sorted(float(row[0]) for row in sql(made, grouped))


def test_groups_of_copies_come_largest_first(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    (table,) = pages["clusters"].tables
    sizes = "SELECT count(*) FROM duplicate_clusters GROUP BY cluster_id ORDER BY 1 DESC"
    assert pages["clusters"].values(table, "Positions") == [row[0] for row in sql(made, sizes)]


def test_an_image_of_a_group_says_what_decided(made: MadeUp, tmp_path: Path) -> None:
    with corpus_of(made) as corpus:
        images: Any = UnreadableImages()
        with_images = replace(corpus, images=images, reports=tmp_path)
        page = ReadPage(build_site(with_images).parent / "clusters.html")
    (of_a_group, *_) = page.words.split("Group 2:")
    assert of_a_group.count("row 0, image 0kept") == 1
    assert of_a_group.count("image 0similarity 0.90, confidence 0.995, cropped") > 1


@pytest.mark.parametrize("name", FILES)
def test_no_name_becomes_markup_on(name: str, pages: dict[str, ReadPage]) -> None:
    page = pages[name]
    assert not [given for tag, given in page.tags if tag in ("b", "img") or any(key.startswith("on") for key in given)]
    source = page.path.read_text(encoding="utf-8")
    assert source.count("</script>") == sum(tag == "script" for tag, _ in page.tags)


def test_odd_names_are_read_as_they_are(pages: dict[str, ReadPage]) -> None:
    assert set(SUBSETS) <= set(pages["index"].column(next(iter(pages["index"].tables)), "Subset"))
    assert {row["subset"] for row in pages["contamination"].charts["rates"]["values"]} == set(SUBSETS)


@pytest.mark.parametrize("name", FILES)
def test_every_link_leads_to_a_file_that_is_there(name: str, pages: dict[str, ReadPage]) -> None:
    page = pages[name]
    charted = [row["link"] for chart in page.charts.values() for row in chart["values"] if row.get("link")]
    addresses = [link for link in page.links + charted if not link.startswith(("#", "data:"))]
    assert addresses
    for address in addresses:
        assert not urlsplit(address).scheme
        assert (page.path.parent / unquote(address)).is_file(), address


def test_reports_that_were_not_written_are_not_linked(pages: dict[str, ReadPage]) -> None:
    leads = [link for page in pages.values() for link in page.links if link.startswith("../")]
    assert len({link for link in leads if "/leaks/" in link}) == len(BENCHMARKS) - 1
    assert len({link for link in leads if "/duplicates/" in link}) == len(SUBSETS) - 1


@pytest.mark.parametrize("name", FILES)
def test_a_page_may_load_nothing_and_run_its_own_scripts_only(name: str, pages: dict[str, ReadPage]) -> None:
    policy = pages[name].policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in policy
    assert "script-src 'self' file: 'sha256-" in policy
    assert "script-src 'unsafe-inline'" not in policy


@pytest.mark.parametrize("name", FILES)
def test_every_chart_has_words_and_can_be_drawn(name: str, pages: dict[str, ReadPage]) -> None:
    page = pages[name]
    identities = {given.get("id") for _, given in page.tags}
    for chart, content in page.charts.items():
        assert {f"{chart}-heading", f"{chart}-summary"} <= identities
        drawn = vl_convert.vegalite_to_vega({**content["spec"], "data": {"values": content["values"]}})
        assert drawn["marks"]
    assert (SCRIPT in page.links) == bool(page.charts)


def test_without_findings_each_page_says_in_a_line_what_to_run(tmp_path: Path) -> None:
    made = make(tmp_path, [], [])
    execute(made, "DELETE FROM diversity; DELETE FROM provenance; DELETE FROM component_sizes; DELETE FROM meta")
    pages = built(made)
    for name in FILES:
        lines = [given for _, given in pages[name].tags if given.get("class") == "nothing"]
        assert lines, name
        assert "run" in pages[name].words
        assert not pages[name].charts


def test_a_file_that_lacks_tables_gives_the_other_pages(copied: MadeUp) -> None:
    execute(copied, "DROP TABLE diversity_rarefied; DROP TABLE calibration; DROP TABLE quality")
    pages = built(copied)
    assert "the asset rarefied_diversity was not run: visdiv run --all." in pages["diversity"].words
    assert "run the job calibration_pipeline" in pages["thresholds"].words
    assert "No turn has a rating" in pages["quality"].words
    assert pages["contamination"].charts


def test_a_file_without_subsets_is_rejected_in_one_line(copied: MadeUp) -> None:
    referring = [table.name for table in TABLES if "subsets" in table.references.values()]
    execute(copied, "".join(f"DROP TABLE {name};" for name in [*referring, "subsets"]))
    with pytest.raises(VisdivError, match=r"visdiv.duckdb cannot be read .*: run `visdiv run --all` again"):
        built(copied)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _no_third_page(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def write(page: str, path: Path) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write_page(page, path)

    monkeypatch.setattr(build, "write_page", write)


def _no_second_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.replace
    calls: list[Path] = []

    def replace(self: Path, target: Path) -> Path:
        if target.name == FOLDER and self.is_dir():
            calls.append(self)
            if len(calls) == 1:
                raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.nightly
@pytest.mark.parametrize("breaks", [_no_third_page, _no_second_rename])
def test_the_site_of_before_stays_when_writing_fails(
    breaks: Callable[[pytest.MonkeyPatch], None], copied: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(copied)
    before = files_below(copied.reports)
    execute(copied, "UPDATE subsets SET images = images + 1")
    with monkeypatch.context() as patch:
        breaks(patch)
        with pytest.raises(VisdivError, match=r"cannot write .*site: .*its previous content is intact"):
            built(copied)
    assert files_below(copied.reports) == before
    built(copied)
    assert files_below(copied.reports).keys() == before.keys()
    assert files_below(copied.reports) != before


@pytest.mark.nightly
def test_the_site_of_all_of_finevision_stays_small(tmp_path: Path) -> None:
    subsets, benchmarks = finevision()
    pages = built(make(tmp_path, subsets, benchmarks))
    assert len(pages) == len(PAGES)
    (table,) = pages["index"].tables
    assert len(pages["index"].tables[table]) == 1 + len(subsets) == 186
    chart = pages["contamination"].charts["rates"]
    imaged = sum(number > 0 for number in pages["index"].values(table, "Images") if number is not None)
    assert len(chart["values"]) == 2 * imaged * 66
    assert chart["canvas"]
    assert "layer" not in chart["spec"]
    assert max(page.path.stat().st_size for page in pages.values()) < 4_000_000


def test_unknown_rates_across_modalities_have_no_value(made: MadeUp, pages: dict[str, ReadPage]) -> None:
    page = pages["modalities"]
    (table,) = page.tables
    found = sql(made, "SELECT rate FROM image_text_leak_rates WHERE kind = 'text_in_image' ORDER BY rate DESC")
    assert page.values(table, "Rate")[: len(found)] == [row[0] for row in found]
    assert set(page.values(table, "Compared")[len(found) :]) == {None}
