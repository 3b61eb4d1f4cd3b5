"""Fit the model of the confidence (`duplicates.verify.confidence`), and measure it on images that were held out.

    python -m visdiv_assets_tests.testing.fit_confidence [--images FOLDER] [--twins FILE] [--most N] [--drawn N]

Copies are made by `calibration.copies`. Pairs that are no copies are the look-alikes that the tests draw, the nearest
other images of the same subset, and copies paired with the nearest others of their originals. FOLDER holds subsets in
FineVision's format, of which rows that its truth.json lists as copies are left out; without it, only drawn images are
used. FILE lists pairs of other images that are copies of one another all the same, two image_ids a line. All images of
one template, and all pairs with an image, belong to either the fitted or the held-out half.

The program prints the coefficients, and for the held-out half the reliability of the confidence, precision and recall
at each floor, and the lowest floor at which 99 % of the confirmed pairs are copies.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from visdiv_assets.duplicates.calibration.copies import KINDS as COPY_KINDS
from visdiv_assets.duplicates.calibration.encoded_copies import WithCopies, make_copies
from visdiv_assets.duplicates.calibration.measure import NEAREST_FLOOR
from visdiv_assets.duplicates.verify import DEFAULT_PARAMS, Evidence, verify
from visdiv_assets.duplicates.verify.confidence import Statistics, statistics_of, values_of
from visdiv_assets.duplicates.verify_pairs import ImageAccess
from visdiv_assets.embedding.sscd.onnx import OnnxSscd
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.threads import ordered_map, thread_count
from visdiv_assets_tests.testing.corpora import draw, look_alikes
from visdiv_assets_tests.testing.memory_images import MemoryImages, subject_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Nearest other images of each image that are used.
NEAREST_KEPT = 3
#: Copies of each drawn image and of each real one.
DRAWN_COPIES, REAL_COPIES = 1, 3
#: Weight of the sum of squared coefficients in the loss, per pair.
RIDGE = 1e-4
#: Precision that the floor is chosen for.
PRECISION = 0.99
#: The floors that are tried; none is under one half, because such a pair is more probably no copy.
FLOORS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)


class Image(NamedTuple):
    """An image that pairs are made of.

    Attributes:
        subset: where its look-alikes are.
        family: images of one family may be look-alikes, and are fitted or held out together.
        data: the encoded image.
    """

    subset: str
    family: str
    data: bytes


@dataclass(frozen=True)
class Case:
    """A pair with the answer.

    Attributes:
        evidence: what verification found.
        copy: whether the two are copies.
        held_out: whether it is left out of the fit.
        label: where it comes from.
    """

    evidence: Evidence
    copy: bool
    held_out: bool
    label: str


def drawn_images(of_a_kind: int) -> dict[str, Image]:
    """Return the images of some drawn look-alikes of each kind by image_id; each kind is a subset."""
    images = {}
    for pair in look_alikes(of_a_kind):
        for content in (pair.content_a, pair.content_b):
            stream = io.BytesIO()
            draw(pair.kind, pair.template, content).save(stream, "PNG", compress_level=1)
            data = stream.getvalue()
            images[image_id(data)] = Image(f"drawn {pair.kind}", f"{pair.kind}/{pair.template}", data)
    return images


def real_images(folder: Path, most: int) -> dict[str, Image]:
    """Return the images of a folder in FineVision's format by image_id, without those that are listed as copies.

    Args:
        folder: the folder.
        most: the largest number of images of a subset; the lowest image_ids are used.
    """
    truth = folder / "truth.json"
    listed = json.loads(truth.read_text())["copies"] if truth.exists() else []
    copies = {(copy["dst"], copy["dst_row"]) for copy in listed}
    images: dict[str, Image] = {}
    for path in sorted(folder.glob("subsets/*")):
        found = {}
        cells = itertools.chain.from_iterable(
            pq.read_table(file, columns=["images"])["images"].to_pylist() for file in sorted(path.glob("*.parquet"))
        )
        for row, cell in enumerate(cells):
            data = cell[0]["bytes"] if cell else None
            if data and (path.name, row) not in copies and decode_image(data).pixels is not None:
                found[image_id(data)] = Image(path.name, image_id(data), data)
        images |= {name: found[name] for name in sorted(found)[:most]}
    return images


def held_out(family: str) -> bool:
    """Return whether the images of a family are left out of the fit."""
    return hashlib.sha256(family.encode()).digest()[0] % 2 == 1


def nearest_others(images: Mapping[str, Image], threads: int) -> Iterator[tuple[str, str]]:
    """Yield pairs of images of one subset and one half that are among the nearest of one of the two, each once.

    The nearest of each image is used however similar, because few photographs are similar to another.
    """
    embedder = OnnxSscd(8)
    names = list(images)

    def preprocess(name: str) -> NDArray[np.uint8]:
        pixels = decode_image(images[name].data).pixels
        assert pixels is not None
        return embedder.preprocess(pixels)

    batches = [names[start : start + embedder.batch_size] for start in range(0, len(names), embedder.batch_size)]
    vectors = np.concatenate(
        list(ordered_map(lambda of: embedder.run(np.stack([*map(preprocess, of)])), batches, threads=threads))
    )
    seen: set[frozenset[str]] = set()
    groups = [(images[name].subset, held_out(images[name].family)) for name in names]
    for index, group in enumerate(groups):
        similarity = np.where([other == group for other in groups], vectors @ vectors[index], -1.0)
        similarity[index] = -1.0
        for rank, other in enumerate(np.argsort(-similarity, kind="stable")[:NEAREST_KEPT].tolist()):
            pair = frozenset({names[index], names[other]})
            if similarity[other] >= (NEAREST_FLOOR if rank else 0.0) and pair not in seen:
                seen.add(pair)
                yield names[index], names[other]


def judge(images: ImageAccess, a: str, b: str) -> Evidence:
    """Verify a pair as the stages do."""
    one, two = (
        subject_of(stored, data)
        for stored, data in zip(images.stored([a, b]), images.in_order([a, b])([a, b]), strict=True)
    )
    return verify(one, two, DEFAULT_PARAMS, images.backgrounds(a, b), (a, b))


def collect(images: Mapping[str, Image], others: Sequence[tuple[str, str]], copies: int, threads: int) -> list[Case]:
    """Return the pairs of some images and their copies, of images and others, and of copies and others.

    Args:
        images: by image_id.
        others: pairs of them that are no copies.
        copies: number of copies of each image.
        threads: number of threads.
    """
    subsets: dict[str, dict[str, bytes]] = {}
    for name, image in images.items():
        subsets.setdefault(image.subset, {})[name] = image.data
    access = MemoryImages(subsets)
    partners: dict[str, list[str]] = {}
    for a, b in others:
        partners.setdefault(a, []).append(b)
        access.backgrounds(a, b)
    embedder = OnnxSscd(1)

    def cases_of(name: str) -> list[Case]:
        image = images[name]
        chosen = Random(name).sample(COPY_KINDS, copies)
        made = make_copies(name, decode_image(image.data), chosen, embedder, threads=1)
        both = WithCopies(access, {copy.name: copy for copy in made.values()})
        where, kind = held_out(image.family), image.subset
        found = [
            Case(judge(both, name, copy.name), True, where, f"{kind}: {copy.kind} {copy.strength}")
            for copy in made.values()
        ]
        for index, other in enumerate(partners.get(name, ())):
            found.append(Case(judge(both, name, other), False, where, f"{kind}: {name} {other}"))
            if index == 0 and made:
                copy = next(iter(made.values()))
                found.append(Case(judge(both, copy.name, other), False, where, f"{kind}: {copy.name} {other}"))
        return found

    return [case for cases in ordered_map(cases_of, list(images), threads=threads) for case in cases]


def fit(statistics: NDArray[np.float64], copy: NDArray[np.bool_]) -> tuple[float, tuple[float, ...]]:
    """Fit a logistic model whose coefficients are at least 0: return the intercept and the coefficients.

    Args:
        statistics: float64 [n, k].
        copy: bool [n].
    """
    from scipy.optimize import minimize

    columns = np.column_stack([np.ones(len(statistics)), statistics])
    sign = np.where(copy, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (columns @ weights)
        slope = -sign / (1 + np.exp(np.clip(margin, -500, 500)))
        value = float(np.logaddexp(0, -margin).mean() + RIDGE * (weights[1:] ** 2).sum())
        return value, columns.T @ slope / len(sign) + 2 * RIDGE * np.array([0.0, *weights[1:]])

    bounds = [(None, None)] + [(0.0, None)] * statistics.shape[1]
    found = minimize(loss, np.zeros(columns.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B")
    return float(found.x[0]), tuple(float(value) for value in found.x[1:])


def table_of(cases: Sequence[Case]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the statistics, float64 [n, k], and whether the pairs are copies, bool [n]."""
    values = [values_of(statistics_of(case.evidence)) for case in cases]
    return np.array(values).reshape(len(cases), len(Statistics.__slots__)), np.array(
        [case.copy for case in cases], bool
    )


def reliability(confidence: NDArray[np.float64], copy: NDArray[np.bool_]) -> Iterator[str]:
    """Yield lines that compare the confidence of pairs with the share of copies among them."""
    edges = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 1.01)
    yield "confidence      pairs  mean confidence  share of copies"
    for low, high in itertools.pairwise(edges):
        chosen = (confidence >= low) & (confidence < high)
        if chosen.any():
            mean, share = confidence[chosen].mean(), copy[chosen].mean()
            yield f"{low:.2f} to {min(high, 1):.2f}  {chosen.sum():7,}  {mean:15.3f}  {share:15.3f}"


def are_confirmed(cases: Sequence[Case]) -> NDArray[np.bool_]:
    """Return whether the rules confirm pairs, bool [n]."""
    return np.array([statistics_of(case.evidence).confirmed for case in cases], bool)


def curve(
    confirmed: NDArray[np.bool_], confidence: NDArray[np.float64], copy: NDArray[np.bool_]
) -> Iterator[tuple[float, int, int, float]]:
    """Yield floors, how many confirmed pairs reach each, how many of these are wrong, and the recall of copies."""
    for floor in (0.0, *FLOORS):
        chosen = confirmed & (confidence >= floor)
        yield floor, int(chosen.sum()), int((chosen & ~copy).sum()), float((chosen & copy).sum() / max(1, copy.sum()))


def lowest_floor(confirmed: NDArray[np.bool_], confidence: NDArray[np.float64], copy: NDArray[np.bool_]) -> float:
    """Return the lowest of `FLOORS` from which on a share `PRECISION` of the confirmed pairs are copies."""
    rows = list(curve(confirmed, confidence, copy))[1:]
    return next((floor for floor, count, wrong, _ in rows if wrong <= (1 - PRECISION) * count), 1.0)


def main() -> None:
    """Collect the pairs, fit the model, and print it and its measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder with real images in FineVision's format")
    parser.add_argument("--twins", type=Path, help="pairs of image_ids that are copies though nobody planted them")
    parser.add_argument("--most", type=int, default=200, help="real images of a subset, at most")
    parser.add_argument("--drawn", type=int, default=20, help="drawn look-alikes of each kind, four of a template")
    given = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    threads = thread_count(0)
    drawn = drawn_images(given.drawn)
    cases = collect(drawn, list(drawn_pairs(drawn)), DRAWN_COPIES, threads)
    if given.images:
        real = real_images(given.images, given.most)
        lines = given.twins.read_text().splitlines() if given.twins else []
        twins = {frozenset(line.split()) for line in lines}
        others = [pair for pair in nearest_others(real, threads) if frozenset(pair) not in twins]
        cases += collect(real, others, REAL_COPIES, threads)
    for line in report([case for case in cases if case.evidence.photographic is not None]):
        sys.stdout.write(f"{line}\n")


def drawn_pairs(images: Mapping[str, Image]) -> Iterator[tuple[str, str]]:
    """Yield drawn look-alikes: neighbors in the order in which the images of a template were drawn."""
    families: dict[str, list[str]] = {}
    for name, image in images.items():
        families.setdefault(image.family, []).append(name)
    for names in families.values():
        yield from itertools.pairwise(names)


def report(cases: Sequence[Case]) -> Iterator[str]:
    """Fit both models, and yield lines with them and their measurement on the held-out half."""
    tested: list[Case] = []
    confidences, copies = [], []
    for title, photographic in (("PHOTOGRAPHIC", True), ("DRAWN", False)):
        chosen = [case for case in cases if case.evidence.photographic == photographic]
        intercept, weights = fit(*table_of([case for case in chosen if not case.held_out]))
        yield f"{title} = ({intercept:.2f}, ({', '.join(f'{value:.2f}' for value in weights)}))"
        part = [case for case in chosen if case.held_out]
        values, copy = table_of(part)
        confidence = 1 / (1 + np.exp(-(intercept + values @ np.array(weights))))
        yield from measure(part, confidence, copy)
        tested += part
        confidences.append(confidence)
        copies.append(copy)
    yield "TOGETHER"
    confidence, copy = np.concatenate(confidences), np.concatenate(copies)
    yield from measure(tested, confidence, copy)
    yield f"MIN_CONFIDENCE = {lowest_floor(are_confirmed(tested), confidence, copy):g}"
    for case in cases:
        if not case.copy and statistics_of(case.evidence).confirmed:
            yield f"look at {case.label} ({'held out' if case.held_out else 'fitted'}) {case.evidence}"


def measure(cases: Sequence[Case], confidence: NDArray[np.float64], copy: NDArray[np.bool_]) -> Iterator[str]:
    """Yield lines with the reliability of the confidence, and precision and recall at each floor."""
    for line in reliability(confidence, copy):
        yield f"  {line}"
    yield "  floor   confirmed  wrong  precision  recall of compared copies"
    for floor, count, wrong, recall in curve(are_confirmed(cases), confidence, copy):
        yield f"  {floor:.3f}  {count:9,}  {wrong:5,}  {1 - wrong / max(1, count):9.4f}  {recall:.3f}"


if __name__ == "__main__":
    main()
