"""The same pair gives the same evidence, in any thread and after any other calls."""

from concurrent.futures import ThreadPoolExecutor

from visdiv_assets.duplicates.verify import prepare, verify
from visdiv_assets_tests.duplicates.verify.images import as_jpeg, scene, table


def test_threads_and_earlier_calls_change_nothing() -> None:
    images = [scene(1), as_jpeg(scene(1), 40), scene(1).rotate(5), scene(2), table(), table(seed=4)]
    pairs = [(i, j) for i in range(len(images)) for j in range(len(images))]
    prepared = [prepare(image) for image in images]
    alone = {(i, j): verify(prepare(images[i]), prepare(images[j])) for i, j in pairs}
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda pair: verify(prepared[pair[0]], prepared[pair[1]]), pairs[::-1]))
    assert dict(zip(pairs[::-1], together, strict=True)) == alone
    assert all(alone[i, j].verified == alone[j, i].verified for i, j in pairs)
