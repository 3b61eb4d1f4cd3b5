"""20,000 equal images make 200 million pairs, too many for the table of pairs and for memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.storage.lake import Lake

IMAGES = 20_000
K_BEST = 64

#: Run in a separate process, so that the peak memory is that of this work only.
PROGRAM = """
import json, resource, sys, time
import numpy as np
import pyarrow.compute as pc
from visdiv_assets.duplicates.clusters import (
    Pairs, component_sizes, components, lowest_members, summarize_groups, with_leaders
)
from visdiv_assets.duplicates.stars import Stars
from visdiv_assets.duplicates.candidates import CandidateRule, Images
from visdiv_assets.duplicates.near import near_duplicates
from visdiv_assets.duplicates.pdq_join import Hashes
from visdiv_assets.storage.lake import Lake
from visdiv_assets.vectors.join_blocks import compute_part

begin = time.process_time()
lake = Lake(sys.argv[1])
manifest = lake.require("sscd_embeddings", "clique")
ids, vectors = lake.read(manifest, "ids")["image_id"].combine_chunks(), lake.array(manifest, "vectors")
hashes = Hashes(np.arange(len(ids)), np.zeros((len(ids), 8, 4), np.uint64))
candidates = CandidateRule(0.45, 16, 31)
rule = candidates.partners(0.75, int(sys.argv[2]))
part = compute_part(vectors, None, (0, len(ids)), rule, count_at=[0.95])
found = near_duplicates(Images(ids, vectors, hashes), [part], rule, candidates, ["neighbors"])
names = ids.to_numpy(zero_copy_only=False).astype("S32")
a, b = (found.pairs[side].to_numpy().astype("S32") for side in ("image_id_a", "image_id_b"))
pairs = Pairs(np.searchsorted(names, a), np.searchsorted(names, b), found.pairs["similarity"].to_numpy())
priority = np.arange(len(names))[::-1]
copies = with_leaders(vectors, pairs, priority, 0.95)
stars = Stars(len(names), copies)
stars.complete(priority)
component = lowest_members(components(len(names), copies))
summary = summarize_groups(names, vectors, component, stars.center)
sizes = component_sizes(len(names), pairs, [0.75, 0.95])
print(json.dumps({
    "seconds": time.process_time() - begin,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "pairs": found.pairs.num_rows,
    "pairs_twice": found.pairs.num_rows - found.pairs.group_by(["image_id_a", "image_id_b"]).aggregate([]).num_rows,
    "candidates": found.candidates.num_rows,
    "neighbors": pc.unique(found.counts["neighbors"]).to_pylist(),
    "background": pc.min_max(found.counts["background_similarity"]).as_py(),
    "components": np.unique(component).tolist(),
    "clusters": np.unique(stars.center).tolist(),
    "summary": summary.to_pylist(),
    "largest": sizes["largest_component"].to_pylist(),
}))
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Return a lake with one table in the form of `sscd_embeddings`, in two files."""
    lake = Lake(tmp_path)
    vector = np.random.default_rng(0).standard_normal(512)
    equal = np.repeat((vector / np.linalg.norm(vector)).astype(np.float16)[None], IMAGES // 2, axis=0)
    write = lake.write("sscd_embeddings", "clique", code_version="1", model_id="model")
    for shard in (0, 1):
        names = [f"{number:032x}" for number in range(shard * IMAGES // 2, (shard + 1) * IMAGES // 2)]
        with write.add(f"shard {shard}") as unit:
            unit.array("vectors", equal)
            unit.table("ids", pa.table([names], schema=IDS_SCHEMA), IDS_SCHEMA)
    write.commit()
    return lake


@pytest.mark.nightly
def test_a_clique_of_20000_equal_images_stays_bounded(lake: Lake) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, lake.files.full_path(""), str(K_BEST)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    # Each image with the K lowest image_ids, which are the K best of all.
    assert IMAGES - 1 <= result["pairs"] <= K_BEST * IMAGES
    assert result["pairs_twice"] == 0
    # The 16 best by similarity, and as many by hash.
    assert result["candidates"] <= 2 * 16 * IMAGES
    assert result["neighbors"] == [IMAGES - 1]
    assert result["background"] == {"min": pytest.approx(1, abs=2e-3), "max": pytest.approx(1, abs=2e-3)}
    assert result["components"] == [0]
    assert result["clusters"] == [IMAGES - 1]
    assert result["largest"] == [IMAGES, IMAGES]
    measured = [(group["kind"], group["images"], group["images_measured"]) for group in result["summary"]]
    assert measured == [("component", IMAGES, IMAGES), ("cluster", IMAGES, IMAGES)]
    assert [group["smallest_similarity"] for group in result["summary"]] == pytest.approx([1, 1], abs=2e-3)
    assert result["peak"] < 1.5e9
    # Processor time does not depend on the load of the machine.
    assert result["seconds"] < 60
