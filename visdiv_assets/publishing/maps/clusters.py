"""Clusters on a map, and words that name them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: A cluster has at least this share of the points, and at least so many.
SMALLEST_SHARE, SMALLEST = 0.01, 5
#: Words of a name.
WORDS = 3
#: Characters of a text that count: the rest of a long one would drown the others.
TEXT_USED = 1000
MAX_WORDS = 20_000
#: Letters only, in any script: numbers and markup name nothing.
WORD = r"(?u)\b[^\W\d_]{2,}\b"


def find_clusters(places: np.ndarray) -> np.ndarray:
    """Dense groups of places on a map, by HDBSCAN.

    Args:
        places: float [n, 2].

    Returns:
        int32 [n], numbered from the largest; -1 for points in no group.
    """
    smallest = max(SMALLEST, round(SMALLEST_SHARE * len(places)))
    if len(places) < 2 * smallest:
        return np.full(len(places), -1, np.int32)
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(places.astype(np.float64))
    sizes = np.bincount(found[found >= 0], minlength=found.max() + 1)
    rank = np.empty(len(sizes), np.int32)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return np.where(found >= 0, rank[found] if len(rank) else -1, -1).astype(np.int32)


def cluster_names(texts: Sequence[str], cluster: np.ndarray) -> list[str]:
    """The words that set each cluster's texts apart from the others'.

    A word counts by how often it occurs in the cluster's texts, times log(1 + mean words of a cluster / its occurrences
    in all): tf-idf with a cluster in the place of a document.

    Args:
        texts: [n], of the points' rows.
        cluster: int [n], -1 for none.

    Returns:
        a name for each cluster by number, such as "bird, branch, red"; empty for one without words.
    """
    count = int(cluster.max()) + 1 if len(cluster) else 0
    used = [number for number in range(len(texts)) if cluster[number] >= 0]
    if not any(texts[number].strip() for number in used):
        return [""] * count
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(stop_words="english", max_features=MAX_WORDS, token_pattern=WORD, dtype=np.int64)
    try:
        words = counter.fit_transform(texts[number][:TEXT_USED] for number in used)
    except ValueError:  # Nothing but stop words and numbers.
        return [""] * count
    belongs = csr_matrix((np.ones(len(used)), (cluster[used], np.arange(len(used)))), shape=(count, len(used)))
    frequency = (belongs @ words).toarray()
    occurrences = frequency.sum(axis=0)
    weight = frequency / np.maximum(frequency.sum(axis=1, keepdims=True), 1)
    weight = weight * np.log(1 + frequency.sum() / count / np.maximum(occurrences, 1))
    names = counter.get_feature_names_out()
    best = np.argsort(-weight, axis=1, kind="stable")[:, :WORDS]
    return [", ".join(names[word] for word in row if weight[number, word] > 0) for number, row in enumerate(best)]
