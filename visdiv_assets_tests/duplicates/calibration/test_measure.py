from __future__ import annotations

import io
import random
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from visdiv_assets.duplicates.calibration import encoded_copies as making
from visdiv_assets.duplicates.calibration import measure as measuring
from visdiv_assets.duplicates.calibration.copies import KINDS, STRENGTHS, make_copy
from visdiv_assets.duplicates.calibration.encoded_copies import Copy, WithCopies, make_copies, strength_of
from visdiv_assets.duplicates.calibration.measure import (
    COPIES_SCHEMA,
    NEAREST_KEPT,
    PAIRS_SCHEMA,
    Measurement,
    Near,
    measure,
)
from visdiv_assets.duplicates.calibration.rates import (
    CALIBRATION_SCHEMA,
    CONFIDENCE,
    FLOORS,
    SIMILARITY,
    THRESHOLDS,
    VERIFIED,
    compute_rates,
    recommended_threshold,
    row_of,
    sentence,
    sentences,
)
from visdiv_assets.duplicates.calibration.sampling import choose_sample, nearest_others, within_budget
from visdiv_assets.duplicates.verify import verify
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id as identity_of
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.publishing.plots.calibration import plot
from visdiv_assets.statistics import ALL, wilson_interval
from visdiv_assets_tests.conftest import ColorEmbedder
from visdiv_assets_tests.testing.memory_images import MemoryImages, subject_of

# Measuring -----------------------------------------------------------------------------------------------------------


def scene(seed: int, side: int = 96) -> Image.Image:
    """Return soft colored blobs with grain on them: texture everywhere, different for each seed."""
    chance = np.random.default_rng(seed)
    coarse = Image.fromarray(chance.integers(0, 256, (7, 7, 3), np.uint8)).resize(
        (side, side - 8), Image.Resampling.BICUBIC
    )
    fine = Image.fromarray(chance.integers(0, 256, (24, 24, 3), np.uint8)).resize(coarse.size, Image.Resampling.BICUBIC)
    return Image.blend(coarse, fine, 0.4)


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, form)
    return stream.getvalue()


A, B, C = (encoded(scene(seed, 160)) for seed in (1, 2, 3))
COPY = encoded(make_copy(scene(1, 160), "jpeg", "mild", 5), "JPEG")
ENCODED = {identity_of(data): data for data in (A, B, C, COPY)}
A_ID, B_ID, C_ID, COPY_ID = ENCODED
NEAREST = {
    A_ID: [Near(COPY_ID, 0.99), Near(B_ID, 0.5), Near(C_ID, 0.47)],
    B_ID: [Near(A_ID, 0.5)],
    C_ID: [],
}
LIMITS = DecodeLimits(10**6)


def access() -> MemoryImages:
    return MemoryImages({"some": ENCODED})


def measured(threads: int = 2, **changed: Any) -> Measurement:
    arguments = {"copied": [A_ID], "candidate_floor": 0.5, "pdq_distance": 31, "limits": LIMITS, **changed}
    return measure(access(), NEAREST, ColorEmbedder(batch_size=5), threads=threads, **arguments)


@pytest.fixture(scope="module")
def found() -> Measurement:
    return measured()


def made_copies(threads: int = 1, data: bytes = A) -> dict[str, Copy]:
    return make_copies(identity_of(data), decode_image(data), KINDS, ColorEmbedder(), threads=threads)


def test_every_copy_is_compared_as_a_plain_loop_compares_it(found: Measurement) -> None:
    assert found.copies.schema == COPIES_SCHEMA
    rows = {row["kind"]: row for row in found.copies.to_pylist()}
    assert {row["image_id"] for row in rows.values()} == {A_ID}
    assert list(rows) == list(KINDS)
    embedder = ColorEmbedder()
    original = embedder.embed([scene(1, 160)])[0].astype(np.float16).astype(float)
    copies = made_copies()
    images = WithCopies(access(), {copy.name: copy for copy in copies.values()})
    for kind, row in rows.items():
        data = copies[kind].data
        shown = decode_image(data).pixels
        assert shown is not None
        similarity = embedder.embed([shown])[0].astype(np.float16).astype(float) @ original
        assert row["similarity"] == pytest.approx(min(similarity, 1), abs=1e-6)
        assert row["strength"] == strength_of(A_ID, kind)
        name = copies[kind].name
        one, two = (subject_of(images.stored([each])[0], of) for each, of in ((A_ID, A), (name, data)))
        evidence = verify(one, two, backgrounds=images.backgrounds(A_ID, name), names=(A_ID, name))
        assert (row["verified"], row["reason"]) == (evidence.verified is True, evidence.reason)
        assert row["confidence"] == (None if evidence.confidence is None else pytest.approx(evidence.confidence))
        assert row["candidate"] == (row["similarity"] >= np.float32(0.5) or row["pdq_distance"] is not None)
        assert row["pdq_distance"] is None or 0 <= row["pdq_distance"] <= 31
    assert sum(row["verified"] for row in rows.values()) > 25
    # Turned images look different to this embedder; PDQ compares all orientations.
    assert rows["quarter_turn"]["similarity"] < 0.5
    assert rows["quarter_turn"]["candidate"]


def test_pairs_not_confirmed_are_tested_again_with_a_copy(found: Measurement) -> None:
    assert found.pairs.schema == PAIRS_SCHEMA
    by_pair = {(row["image_id"], row["other_image_id"]): row for row in found.pairs.to_pylist()}
    assert list(by_pair) == [(A_ID, COPY_ID), (A_ID, B_ID), (A_ID, C_ID)]
    confirmed = by_pair[A_ID, COPY_ID]
    assert confirmed["verified"]
    assert (confirmed["copy_kind"], confirmed["copy_strength"], confirmed["copy_verified"]) == (None, None, None)
    for other in (B_ID, C_ID):
        row = by_pair[A_ID, other]
        assert not row["verified"]
        assert row["reason"]
        assert row["copy_kind"] in KINDS
        assert row["copy_strength"] == strength_of(A_ID, row["copy_kind"])
        assert row["copy_verified"] is False
        assert row["complete_above"] == 0


def test_the_result_depends_on_neither_threads_nor_other_images(
    found: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MAX_BYTES_WAITING", 0)
    again = measured(threads=1, copied=[C_ID, A_ID])
    assert again.pairs.equals(found.pairs)
    assert again.copies.slice(0, found.copies.num_rows).equals(found.copies)
    assert set(again.copies["image_id"].to_pylist()) == {A_ID, C_ID}


def test_the_seed_changes_the_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    before = made_copies()
    monkeypatch.setattr(making, "SEED", 2)
    assert sum(copy.data == before[kind].data for kind, copy in made_copies().items()) < len(KINDS) / 2


def test_half_of_the_copies_are_strong() -> None:
    strong = sum(strength_of(f"{index:032x}", "crop") == "strong" for index in range(400))
    assert 150 < strong < 250


def test_copies_are_encoded_as_their_image_is() -> None:
    assert {decode_image(copy.data).format for copy in made_copies().values()} == {"png"}
    assert {decode_image(copy.data).format for copy in made_copies(2, COPY).values()} == {"jpeg"}


def test_a_copy_that_changes_no_pixel_is_not_made() -> None:
    gray = scene(4).convert("L").convert("RGB")
    missing = set(KINDS) - set(made_copies(data=encoded(gray)))
    assert "grayscale" in missing
    assert missing <= {"grayscale", "saturation", "hue", "channel_shuffle"}


def test_a_crowded_image_states_where_its_pairs_are_complete() -> None:
    others = {identity_of(data): data for data in (encoded(scene(seed, 40)) for seed in range(10, 10 + NEAREST_KEPT))}
    images = MemoryImages({"some": {**others, A_ID: A}})
    near = [Near(name, 0.9 - index / 100) for index, name in enumerate(others)]
    for kept, above in ((near, near[-1].similarity), (near[:-1], 0.0)):
        found = measure(
            images,
            {A_ID: kept},
            ColorEmbedder(),
            copied=(),
            candidate_floor=0.5,
            pdq_distance=31,
            threads=2,
            limits=LIMITS,
        )
        assert found.pairs["complete_above"].to_pylist() == pytest.approx([above] * len(kept))
        assert found.copies.num_rows == 0


def test_large_images_are_reduced_before_they_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "MAX_PIXELS", 5000)
    shown = decode_image(made_copies()["invert"].data)
    assert shown.width is not None
    assert shown.height is not None
    assert 4500 <= shown.width * shown.height <= 5500


def test_an_image_that_was_replaced_is_an_error() -> None:
    images = MemoryImages({"some": {**ENCODED, A_ID: B}})
    with pytest.raises(VisdivError, match="has changed since subset_images was made"):
        measure(
            images,
            {A_ID: []},
            ColorEmbedder(),
            copied=[A_ID],
            candidate_floor=0.5,
            pdq_distance=31,
            threads=1,
            limits=LIMITS,
        )


# Counting ------------------------------------------------------------------------------------------------------------


EVERY_COPY = tuple(product(KINDS, STRENGTHS))


def copy_row(
    image: int,
    kind: str,
    strength: str,
    similarity: float,
    *,
    candidate: bool,
    verified: bool,
    confidence: float | None = None,
) -> dict:
    return {
        "image_id": f"{image:032}",
        "kind": kind,
        "strength": strength,
        "similarity": similarity,
        "candidate": candidate,
        "verified": verified,
        "confidence": (0.995 if verified else 0.1) if confidence is None else confidence,
        "reason": "",
    }


def pair_row(image: int, similarity: float, *, verified: bool, misled: bool = False, complete: float = 0.0) -> dict:
    return {
        "image_id": f"{image:032}",
        "other_image_id": "other",
        "similarity": similarity,
        "complete_above": complete,
        "verified": verified,
        "confidence": 0.995 if verified else 0.1,
        "reason": "" if verified else "contents differ",
        "copy_kind": None if verified else "jpeg",
        "copy_strength": None if verified else "mild",
        "copy_verified": None if verified else misled,
        "copy_confidence": None if verified else 0.96 if misled else 0.02,
    }


def made(copies: Sequence[dict], pairs: Sequence[dict]) -> Measurement:
    return Measurement(
        pa.Table.from_pylist(list(copies), COPIES_SCHEMA), pa.Table.from_pylist(list(pairs), PAIRS_SCHEMA)
    )


@pytest.fixture(scope="module")
def chance() -> Measurement:
    """Return 24 images with random rows; one copy in ten is missing."""
    draw = random.Random(7)
    copies = [
        copy_row(
            number,
            kind,
            strength,
            draw.random(),
            candidate=draw.random() < 0.9,
            verified=draw.random() < 0.8,
            confidence=draw.random(),
        )
        for number in range(24)
        for kind, strength in EVERY_COPY
        if draw.random() < 0.9
    ]
    pairs = [
        pair_row(number, 0.45 + 0.55 * draw.random(), verified=draw.random() < 0.3, misled=draw.random() < 0.1)
        for number in range(24)
        for _ in range(8)
    ]
    return made(copies, pairs)


def accepts(rule: str, threshold: float | None, copy: dict[str, Any]) -> bool:
    if rule == VERIFIED:
        return bool(copy["candidate"] and copy["verified"])
    if rule == CONFIDENCE:
        return bool(copy["candidate"] and copy["confidence"] >= np.float32(threshold))
    return bool(copy["similarity"] >= threshold)


def test_rates_equal_plain_counts(chance: Measurement) -> None:
    table = compute_rates(chance)
    assert table.schema == CALIBRATION_SCHEMA
    assert table.num_rows == len((*KINDS, ALL)) * len((*STRENGTHS, ALL)) * (len(THRESHOLDS) + len(FLOORS) + 1)
    copies = chance.copies.to_pylist()
    for row in table.to_pylist():
        chosen = [
            copy for copy in copies if row["kind"] in (ALL, copy["kind"]) and row["strength"] in (ALL, copy["strength"])
        ]
        found = [copy for copy in chosen if accepts(row["rule"], row["threshold"], copy)]
        assert (row["copies"], row["copies_found"]) == (len(chosen), len(found))
        assert row["images"] == len({copy["image_id"] for copy in chosen})
        kinds = {copy["kind"] for copy in chosen}
        shares = [np.mean([copy in found for copy in chosen if copy["kind"] == kind]) for kind in kinds]
        assert row["recall"] == pytest.approx(np.mean(shares))
        assert row["recall_low"] <= row["recall"] <= row["recall_high"]
        assert (row["threshold"] is None) == (row["rule"] == VERIFIED)
        if not row["kind"] == row["strength"] == ALL:
            assert row["other_pairs"] is row["false_positives"] is row["precision"] is None
    assert table["threshold"].to_pylist()[: len(THRESHOLDS) + len(FLOORS) + 1] == [*THRESHOLDS, *FLOORS, None]


def test_precision_of_a_threshold_is_its_confirmed_share(chance: Measurement) -> None:
    pairs = chance.pairs.to_pylist()
    table = compute_rates(chance)
    for threshold in THRESHOLDS:
        row = row_of(table, SIMILARITY, threshold)
        assert row is not None
        accepted = [pair for pair in pairs if pair["similarity"] >= threshold]
        refused = [pair for pair in accepted if not pair["verified"]]
        assert row["other_pairs"] == len(pairs) == 192
        assert (row["other_pairs_accepted"], row["false_positives"]) == (len(accepted), len(refused))
        assert row["precision"] == pytest.approx(1 - len(refused) / len(accepted))
        assert row["precision_low"] < row["precision"] < row["precision_high"]


def test_precision_of_verification_counts_confirmed_non_copies(chance: Measurement) -> None:
    pairs = chance.pairs.to_pylist()
    row = row_of(compute_rates(chance), VERIFIED, None)
    assert row is not None
    right = sum(pair["verified"] for pair in pairs)
    wrong = sum(pair["copy_verified"] is True for pair in pairs)
    assert (row["other_pairs_accepted"], row["false_positives"]) == (right + wrong, wrong)
    assert row["precision"] == pytest.approx(right / (right + wrong))


def test_precision_of_a_confidence_counts_what_reaches_it(chance: Measurement) -> None:
    table = compute_rates(chance)
    pairs = chance.pairs.to_pylist()
    for floor in FLOORS:
        row = row_of(table, CONFIDENCE, floor)
        assert row is not None
        right = sum(pair["verified"] and pair["confidence"] >= floor for pair in pairs)
        wrong = sum(pair["copy_confidence"] is not None and pair["copy_confidence"] >= floor for pair in pairs)
        assert (row["other_pairs_accepted"], row["false_positives"]) == (right + wrong, wrong)
        assert row["precision"] == pytest.approx(right / (right + wrong))
    strict, loose = row_of(table, CONFIDENCE, 0.99), row_of(table, CONFIDENCE, 0.9)
    assert strict is not None
    assert loose is not None
    assert strict["false_positives"] == 0 < loose["false_positives"]


def test_nothing_accepted_has_no_precision() -> None:
    copies = [copy_row(1, "jpeg", "mild", 0.5, candidate=True, verified=True)]
    for pairs in ([], [pair_row(1, 0.5, verified=False)]):
        table = compute_rates(made(copies, pairs), [0.9])
        for rule, threshold in ((SIMILARITY, 0.9), (VERIFIED, None)):
            row = row_of(table, rule, threshold)
            assert row is not None
            assert (row["other_pairs"], row["other_pairs_accepted"], row["false_positives"]) == (len(pairs), 0, 0)
            assert row["precision"] is row["precision_low"] is row["precision_high"] is None
    unmade = [row for row in table.to_pylist() if row["kind"] == "crop"]
    assert all(row["copies"] == 0 and row["recall"] is None and row["recall_low"] is None for row in unmade)


def test_verification_that_could_not_go_wrong_has_no_precision() -> None:
    copies = [copy_row(1, "jpeg", "mild", 0.5, candidate=True, verified=True)]
    table = compute_rates(made(copies, [pair_row(1, 0.95, verified=True)] * 3), [0.9])
    verified, similarity = row_of(table, VERIFIED, None), row_of(table, SIMILARITY, 0.9)
    assert verified is not None
    assert similarity is not None
    assert (verified["other_pairs_accepted"], verified["false_positives"], verified["precision"]) == (3, 0, None)
    assert verified["precision_low"] is verified["precision_high"] is None
    assert similarity["precision"] == 1
    assert plot(table)


def test_intervals_widen_where_copies_of_an_image_fail_together() -> None:
    def copies(hit: Any) -> list[dict]:
        return [
            copy_row(number, kind, "mild", 0.99 if hit(number, place) else 0.1, candidate=True, verified=True)
            for number in range(12)
            for place, kind in enumerate(KINDS[:3])
        ]

    def interval(found: Measurement, kind: str) -> tuple[float, float]:
        (row,) = [
            row
            for row in compute_rates(found, [0.9]).to_pylist()
            if (row["kind"], row["strength"], row["rule"]) == (kind, ALL, SIMILARITY)
        ]
        return row["recall_low"], row["recall_high"]

    together = made(copies(lambda number, _: number % 2), [])
    apart = made(copies(lambda number, place: (number + place) % 2), [])
    assert interval(together, KINDS[0]) == pytest.approx(wilson_interval(6, 12))
    assert interval(apart, ALL) == pytest.approx(wilson_interval(18, 36))
    # 36 copies in groups of three that are found or missed together are worth 12 copies.
    low, high = interval(together, ALL)
    assert high - low == pytest.approx(0.49, abs=0.03)
    assert interval(made(copies(lambda *_: True), []), ALL) == wilson_interval(36, 36)


def test_each_kind_of_copy_has_the_same_weight() -> None:
    many = [copy_row(n, "crop", "mild", 0.99, candidate=True, verified=True) for n in range(9)]
    one = [copy_row(n, "jpeg", "mild", 0.1, candidate=True, verified=True) for n in range(3)]
    row = row_of(compute_rates(made([*many, *one], []), [0.9]), SIMILARITY, 0.9)
    assert row is not None
    assert (row["copies"], row["copies_found"], row["recall"]) == (12, 9, pytest.approx(0.5))


def test_a_threshold_below_the_measured_pairs_is_refused(chance: Measurement) -> None:
    with pytest.raises(ValueError, match=r"threshold 0\.4 is below 0\.45"):
        compute_rates(chance, [0.4])
    with pytest.raises(ValueError, match=r"has no row for rule 'similarity' at threshold 0\.8"):
        sentence(compute_rates(chance), SIMILARITY, 0.8)


def test_the_lowest_threshold_right_in_99_of_100_is_recommended() -> None:
    good = [pair_row(number, 0.85 + number / 1000, verified=True) for number in range(100)]
    bad = [pair_row(number, 0.503 + number / 1000, verified=False) for number in range(20)]
    found = recommended_threshold(made([], [*good, *bad]).pairs)
    # From 0.52 on, three of the rejected pairs are still accepted.
    assert (found.threshold, found.accepted, found.refused) == (0.53, 100, 0)
    one_wrong = recommended_threshold(made([], [*good[:98], pair_row(1, 0.7, verified=False)]).pairs)
    assert (one_wrong.threshold, one_wrong.refused) == (0.71, 0)
    more = [pair_row(number, 0.9, verified=True) for number in range(20)]
    assert recommended_threshold(made([], [*good, *more, pair_row(1, 0.7, verified=False)]).pairs).threshold == 0.45


def test_no_threshold_is_recommended_on_thin_evidence() -> None:
    few = recommended_threshold(made([], [pair_row(n, 0.9, verified=True) for n in range(19)]).pairs)
    assert few.threshold is None
    assert few.note == "no threshold accepts the required 20 nearest pairs; the maximum is 19"
    wrong = recommended_threshold(made([], [pair_row(n, 0.9, verified=n % 2 == 0) for n in range(60)]).pairs)
    assert wrong.threshold is None
    assert wrong.note.startswith("no threshold with 20 or more nearest pairs has 99 % of them confirmed")
    assert recommended_threshold(PAIRS_SCHEMA.empty_table()).threshold is None


def test_no_threshold_is_recommended_where_pairs_are_incomplete() -> None:
    crowded = [pair_row(number, 0.97, verified=True, complete=0.9) for number in range(40)]
    assert recommended_threshold(made([], crowded).pairs).threshold == 0.91


# Sentences -----------------------------------------------------------------------------------------------------------


def test_sentences_give_numbers_with_their_intervals() -> None:
    copies = [
        copy_row(number, kind, strength, 0.96 if number == 0 else 0.8, candidate=True, verified=number < 3)
        for number in range(4)
        for kind, strength in EVERY_COPY
    ]
    pairs = [pair_row(0, 0.97, verified=n < 2, misled=n == 2) for n in range(42)]
    table = compute_rates(made(copies, pairs), [0.99, 0.95])
    begin = "Of 424 copies made of 4 of this subset's images, "
    middle = " (mean over 53 kinds of edits, mild and strong; 95 % interval "
    text = sentence(table, SIMILARITY, 0.95)
    assert text.startswith(begin + f"a similarity of 0.95 finds 25 %{middle}")
    assert text.endswith(
        "; of 42 pairs of the subset's images with their nearest other images it accepts 42, of which verification "
        "does not confirm 40."
    )
    text = sentence(table, VERIFIED)
    assert text.startswith(begin + f"verification of candidate pairs finds 75 %{middle}")
    assert text.endswith(
        "; of 40 pairs of a copy and another image that is close to the original but not a copy of it, it confirms 1 "
        "(2.5 %, 95 % interval 0.4 to 13 %)."
    )
    assert sentence(table, SIMILARITY, 0.99).endswith("with their nearest other images it accepts 0.")
    assert list(sentences(table)) == [
        sentence(table, SIMILARITY, 0.99),
        sentence(table, SIMILARITY, 0.95),
        sentence(table, VERIFIED),
    ]
    alone = compute_rates(made(copies, []))
    assert sentence(alone, VERIFIED).endswith("; no other images were close enough to test it for errors.")


def test_without_copies_there_are_no_rows_and_a_sentence_says_so() -> None:
    table = compute_rates(made([], []))
    assert table.equals(CALIBRATION_SCHEMA.empty_table())
    assert sentence(table, VERIFIED) == (
        "No copies were made of this subset's images, so the recall of verification of candidate pairs was not "
        "measured."
    )
    assert "recall of a similarity of 0.95 was not measured" in sentence(table, SIMILARITY, 0.95)
    assert list(sentences(table)) == []
    with pytest.raises(ValueError, match="nothing to plot"):
        plot(table)


def test_the_plot_is_a_small_png_and_the_same_each_time(chance: Measurement) -> None:
    table = compute_rates(chance, [*THRESHOLDS, 0.98, 0.8])
    drawn = plot(table)
    image = Image.open(io.BytesIO(drawn))
    assert (image.format, image.size) == ("PNG", (900, 1100))
    assert len(drawn) < 80_000
    assert plot(table) == drawn
    # Nulls too: one kind only, and no pairs.
    assert plot(compute_rates(made([copy_row(1, "jpeg", "mild", 0.5, candidate=True, verified=True)], [])))


# Sampling ------------------------------------------------------------------------------------------------------------


def images(*rows: tuple[str, str, bool | None]) -> pa.Table:
    names = ("image_id", "status", "low_information")
    schema = pa.schema([("image_id", pa.string()), ("status", pa.string()), ("low_information", pa.bool_())])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema)


def test_the_sample_is_the_lowest_readable_informative_ids() -> None:
    listed = images(
        ("d", "ok", False),
        ("b", "ok", False),
        ("a", "ok", True),
        ("0", "corrupt", None),
        ("b", "ok", False),
        ("c", "ok", False),
    )
    assert choose_sample(listed, 2) == ["b", "c"]
    assert choose_sample(listed, 10) == ["b", "c", "d"]
    assert choose_sample(listed, 0) == []
    assert choose_sample(images(), 3) == []
    assert choose_sample(images(("a", "ok", False), ("a", "ok", False), ("b", "empty", None)), 3) == []


def test_nearest_others_equal_a_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visdiv_assets.duplicates.calibration.sampling.BLOCK", 37)
    chance = np.random.default_rng(3)
    vectors = chance.normal(0, 1, (200, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    names = [f"{number:03}" for number in chance.permutation(200)]
    sample = sorted(names)[:9]
    found = nearest_others(pa.array(names), vectors, sample)
    assert list(found) == sample
    similarity = vectors.astype(float) @ vectors.astype(float).T
    cut = 0
    for image_id, others in found.items():
        row = names.index(image_id)
        expected = sorted((-similarity[row, other], names[other]) for other in range(200) if other != row)
        expected = [(name, -value) for value, name in expected if -value >= 0.45][:NEAREST_KEPT]
        assert [other.image_id for other in others] == [name for name, _ in expected]
        assert [other.similarity for other in others] == pytest.approx([value for _, value in expected], abs=1e-6)
        cut += len(others) == NEAREST_KEPT
    assert cut
    assert nearest_others(pa.array(names), vectors, []) == {}


def test_further_images_are_taken_until_there_are_enough_pairs() -> None:
    two = [Near("x", 0.9), Near("y", 0.8)]
    nearest: dict[str, list[Near]] = {"a": [], "b": two, "c": [], "d": two, "e": two, "f": two}
    assert list(within_budget(nearest, copied=1, pairs=0)) == ["a"]
    assert list(within_budget(nearest, copied=2, pairs=5)) == ["a", "b", "d", "e"]
    assert list(within_budget(nearest, copied=3, pairs=100)) == ["a", "b", "c", "d", "e", "f"]
