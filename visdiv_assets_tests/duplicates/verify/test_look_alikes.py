"""Images that look alike but are no copies are rejected, with the reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from visdiv_assets.duplicates.verify import REASONS, prepare, verify, verify_pair
from visdiv_assets_tests.duplicates.verify.images import as_jpeg, flag, scene, table

FLAG = ("#c8102e", "#ffffff", "#0038a8")


@pytest.mark.parametrize("quality", [95, 60, 30])
def test_one_changed_number_of_a_table_is_seen(quality: int) -> None:
    changed = as_jpeg(table({(5, 3): "748.2"}), quality)
    evidence = verify_pair(table(), changed)
    assert (evidence.verified, evidence.kind, evidence.reason) == (False, "unconfirmed", "contents differ")
    assert verify_pair(table(), as_jpeg(table(), quality)).verified


def test_changed_digits_of_a_table_are_seen_at_half_the_size() -> None:
    numbers = table({(5, 3): "731.2"})
    changed = table({(5, 3): "748.2"}).resize((320, 240))
    assert verify_pair(numbers, changed).reason == "contents differ"


def test_another_table_is_no_copy() -> None:
    assert not verify_pair(table(), table(seed=1)).verified


def test_another_scene_is_no_copy() -> None:
    evidence = verify_pair(scene(1), scene(2))
    assert not evidence.verified
    assert evidence.reason in ("no alignment", "contents differ")


@pytest.mark.parametrize(
    "colors", [("#007a3d", "#ffffff", "#0038a8"), ("#0038a8", "#ffffff", "#c8102e"), ("#c8102e", "#fcd116", "#0038a8")]
)
def test_a_flag_of_other_colors_is_refused(colors: tuple[str, str, str]) -> None:
    evidence = verify_pair(flag(FLAG), flag(colors))
    assert not evidence.verified
    # A flag and its mirror image with two colors exchanged are the same flag.
    assert evidence.reason in ("colors differ", "contents differ")


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.4])
def test_a_flag_of_more_or_less_saturation_is_confirmed(factor: float) -> None:
    assert verify_pair(flag(FLAG), ImageEnhance.Color(flag(FLAG)).enhance(factor)).verified


def test_unreadable_images_are_unconfirmed() -> None:
    assert verify_pair(None, scene()).reason == "unreadable"
    assert verify_pair(scene(), None).reason == "unreadable"
    assert verify_pair(None, None).reason == "unreadable"


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (15, 400), (4000, 3)])
def test_tiny_images_are_unconfirmed_even_if_equal(size: tuple[int, int]) -> None:
    image = scene().resize(size)
    assert verify_pair(image, image).reason == "too small"
    assert verify_pair(image, scene()).reason == "too small"


@pytest.mark.parametrize("color", ["white", "black", (12, 200, 40)])
def test_constant_images_are_unconfirmed_even_if_equal(color: str | tuple[int, int, int]) -> None:
    blank = Image.new("RGB", (300, 200), color)
    assert verify_pair(blank, blank.copy()).reason == "too little texture"
    assert verify_pair(blank, scene()).reason == "too little texture"


def test_a_smooth_gradient_holds_too_little() -> None:
    ramp = np.repeat(np.linspace(100, 160, 300, dtype=np.uint8)[None], 200, axis=0)
    one = Image.fromarray(np.dstack([ramp] * 3))
    assert not verify_pair(one, as_jpeg(one, 80)).verified


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 64, 256]),
)
def test_odd_images_raise_nothing_and_the_order_does_not_matter(
    w1: int, h1: int, w2: int, h2: int, seed: int, levels: int
) -> None:
    random = np.random.default_rng(seed)
    one, two = (
        Image.fromarray((random.integers(0, levels, (h, w, 3)) * (256 // levels)).astype(np.uint8))
        for w, h in ((w1, h1), (w2, h2))
    )
    a, b = prepare(one), prepare(two)
    there, back = verify(a, b), verify(b, a)
    assert (there.verified, there.reason) == (back.verified, back.reason)
    assert there.verified or there.reason in REASONS
