"""Find the clusters on a map and name them by their words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visdiv_assets.extras import require_extra
from visdiv_assets.texts.templates import Turn, joined_turns, template_questions

#: Minimum size of a cluster: this share of the points, and this number of points.
MIN_SHARE, MIN_POINTS = 0.01, 5
#: Words in the name of a cluster.
WORDS = 3
#: Characters of a text that are used; more of a long text would outweigh the other texts.
TEXT_USED = 1000
MAX_WORDS = 20_000
#: Letters only, in any script: numbers and markup are poor names.
WORD = r"(?u)\b[^\W\d_]{2,}\b"


def find_clusters(places: np.ndarray) -> np.ndarray:
    """Find dense groups of points on a map by HDBSCAN.

    Args:
        places: coordinates, float [n, 2].

    Returns:
        int32 [n], the cluster of each point, from 0 (the largest cluster); -1 for points in no cluster.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    smallest = max(MIN_POINTS, round(MIN_SHARE * len(places)))
    if len(places) < 2 * smallest:
        return np.full(len(places), -1, np.int32)
    require_extra("sklearn", "maps")
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(places.astype(np.float64))
    sizes = np.bincount(found[found >= 0], minlength=found.max() + 1)
    rank = np.empty(len(sizes), np.int32)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return np.where(found >= 0, rank[found] if len(rank) else -1, -1).astype(np.int32)


def name_by_turns(turns: Sequence[Sequence[Turn]], cluster: np.ndarray, template_images: int) -> list[str]:
    """Name each cluster by the words of its turns, without template questions.

    A question that is asked of many images says nothing of any of them. Where only such questions have words, as beside
    answers that are numbers, they name the cluster after all.

    Args:
        turns: [n], the turns of the rows of the points.
        cluster: int [n], the cluster of each point; -1 for none.
        template_images: minimum number of rows in which a template question stands.

    Returns:
        names as `cluster_names` returns them.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    templates = template_questions(turns, template_images)
    names = cluster_names([joined_turns(each, templates) for each in turns], cluster)
    if templates and not all(names):
        whole = cluster_names([joined_turns(each) for each in turns], cluster)
        names = [name or of_all for name, of_all in zip(names, whole, strict=True)]
    return names


def cluster_names(texts: Sequence[str], cluster: np.ndarray) -> list[str]:
    """Name each cluster by the words that distinguish its texts from those of other clusters.

    The weight of a word is its frequency in the texts of the cluster times log(1 + mean number of words per cluster /
    occurrences of the word in all clusters): tf-idf with clusters as documents.

    Args:
        texts: [n], the texts of the rows of the points.
        cluster: int [n], the cluster of each point; -1 for none.

    Returns:
        a name for each cluster, such as "bird, branch, red"; empty for a cluster without words.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    count = int(cluster.max()) + 1 if len(cluster) else 0
    used = [index for index in range(len(texts)) if cluster[index] >= 0]
    if not any(texts[index].strip() for index in used):
        return [""] * count
    require_extra("sklearn", "maps")
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(stop_words="english", max_features=MAX_WORDS, token_pattern=WORD, dtype=np.int64)
    try:
        words = counter.fit_transform(texts[index][:TEXT_USED] for index in used)
    except ValueError:  # Only stop words and numbers.
        return [""] * count
    belongs = csr_matrix((np.ones(len(used)), (cluster[used], np.arange(len(used)))), shape=(count, len(used)))
    frequency = (belongs @ words).toarray()
    occurrences = frequency.sum(axis=0)
    weight = frequency / np.maximum(frequency.sum(axis=1, keepdims=True), 1)
    weight = weight * np.log(1 + frequency.sum() / count / np.maximum(occurrences, 1))
    names = counter.get_feature_names_out()
    best = np.argsort(-weight, axis=1, kind="stable")[:, :WORDS]
    return [", ".join(names[word] for word in row if weight[index, word] > 0) for index, row in enumerate(best)]
