"""Groups of turns whose texts are equal or near duplicates, counted by subset; template questions are told apart.

Groups are formed part by part: a part holds the turns whose key falls in one range of hashes, so that all turns of a
group are in one part, and memory does not grow with the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.text_corpus import TextCorpus, TurnBlock
from visdiv_assets.duplicates.text_near import Clusters, in_part
from visdiv_assets.statistics import ALL
from visdiv_assets.texts.signatures import hash_names, mix

#: Groups of a kind that are listed, the largest first.
LISTED = 200


class Kind(NamedTuple):
    """What is compared.

    Attributes:
        name: `question`, `answer`, `pair` (of question and answer), or `question_on_image` and `pair_on_image`, which
            compare rows with the same images only.
        match: `exact` or `near`.
    """

    name: str
    match: str

    @property
    def on_image(self) -> bool:
        """Whether only rows with the same images are compared."""
        return self.name.endswith("_on_image")

    @property
    def lists_turns(self) -> bool:
        """Whether the turns of its groups are stored; answers and questions alone repeat too often."""
        return self.name not in ("question", "answer")


KINDS = (
    Kind("question", "exact"),
    Kind("answer", "exact"),
    Kind("pair", "exact"),
    Kind("question_on_image", "exact"),
    Kind("pair_on_image", "exact"),
    Kind("question", "near"),
    Kind("answer", "near"),
    Kind("pair", "near"),
)

_KEY = [("kind", pa.string()), ("match", pa.string())]
_COUNTS = ("turns", "texts", "repeated", "repeated_within", "repeated_across", "redundant", "templates", "of_templates")
#: Counts of a part, by subset.
COUNTS_SCHEMA = pa.schema([("subset", pa.string()), *_KEY, *((name, pa.int64()) for name in _COUNTS)])
#: Counts of all parts, and `share` = repeated / turns.
SUMMARY_SCHEMA = COUNTS_SCHEMA.append(pa.field("share", pa.float64()))
GROUPS_SCHEMA = pa.schema(
    [
        *_KEY,
        ("group_id", pa.string()),
        *((name, pa.int64()) for name in ("turns", "rows", "subsets", "images", "answers")),
        ("template", pa.bool_()),
        ("subset", pa.string()),
        ("row", pa.int64()),
        ("turn", pa.int32()),
    ]
)
TURNS_SCHEMA = pa.schema(
    [
        *_KEY,
        ("group_id", pa.string()),
        ("subset", pa.string()),
        ("row", pa.int64()),
        ("turn", pa.int32()),
        ("is_first", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class GroupRule:
    """What the groups are formed by.

    Attributes:
        images: uint64 [rows], hash of the images of each row of the corpus.
        clusters: near duplicates, by side: `question` and `answer`.
        template_images: minimum number of different images beside which a question with several answers is a template.
    """

    images: np.ndarray
    clusters: Mapping[str, Clusters]
    template_images: int


@dataclass(frozen=True)
class Groups:
    """The groups of one part.

    Attributes:
        counts: table of `COUNTS_SCHEMA`.
        groups: table of `GROUPS_SCHEMA`, the `LISTED` largest groups of two or more turns, the largest first.
        turns: table of `TURNS_SCHEMA`, turns of such groups; empty unless the kind lists them.
    """

    counts: pa.Table
    groups: pa.Table
    turns: pa.Table


class _Turns(NamedTuple):
    """Turns of one part, in order: key of the group, exact key, answer and images (hashes), subset, row, index."""

    key: np.ndarray
    exact: np.ndarray
    answer: np.ndarray
    images: np.ndarray
    subset: np.ndarray
    row: np.ndarray
    turn: np.ndarray


def group_turns(corpus: TextCorpus, kind: Kind, rule: GroupRule, part: int, parts: int) -> Groups:
    """Form the groups of one part.

    A group has two or more turns; of a kind on images, in two or more rows; if it is of near duplicates, with two or
    more different texts. A group of questions is a template, and no duplicate, if its questions stand beside at least
    `template_images` different images and have two or more different answers. Empty texts are left out; a pair is
    empty if both of its texts are.
    """
    turns = _collect(corpus, kind, rule, part, parts)
    keys, first, group, size = np.unique(turns.key, return_index=True, return_inverse=True, return_counts=True)
    # Most groups have one turn, about which there is nothing to count.
    some = np.flatnonzero(size[group] > 1)
    seen = _Distinct(group[some], len(keys))
    rows = seen.count(turns.row[some])
    is_group = (size > 1) & (rows > 1 if kind.on_image else True)
    if kind.match == "near":
        is_group &= seen.count(turns.exact[some]) > 1
    images, answers = seen.count(turns.images[some]), seen.count(turns.answer[some])
    template = is_group & (kind.name == "question") & (images >= rule.template_images) & (answers > 1)
    columns = {
        "turns": size,
        "rows": rows,
        "subsets": seen.count(turns.subset[some]),
        "images": images,
        "answers": answers,
        "template": template,
    }
    listed = np.flatnonzero(is_group)
    listed = listed[np.lexsort((keys[listed], -size[listed]))][:LISTED]
    return Groups(
        _counts(corpus, kind, turns, group, is_group, template, columns["subsets"], first),
        _located(
            GROUPS_SCHEMA,
            corpus,
            kind,
            turns.turn[first[listed]],
            {"group_id": hash_names(keys[listed]), **{name: of[listed] for name, of in columns.items()}},
        ),
        _listed_turns(corpus, kind, turns, group, is_group, first),
    )


def _collect(corpus: TextCorpus, kind: Kind, rule: GroupRule, part: int, parts: int) -> _Turns:
    found: list[list[np.ndarray]] = [
        [np.empty(0, dtype)] for dtype in (np.uint64, np.uint64, np.uint64, np.uint64, np.int32, np.int64, np.int64)
    ]
    for block in corpus.blocks():
        exact, filled = _exact_keys(block, kind, rule)
        key = _near_keys(block, kind, rule) if kind.match == "near" else exact
        held = in_part(key, part, parts)
        held = held[filled[held]]
        row = block.row[held]
        columns = (
            key[held],
            exact[held],
            block.answer[held],
            rule.images[row],
            np.full(len(held), block.subset, np.int32),
            row,
            block.first + held,
        )
        for into, column in zip(found, columns, strict=True):
            into.append(column)
    return _Turns(*map(np.concatenate, found))


def _exact_keys(block: TurnBlock, kind: Kind, rule: GroupRule) -> tuple[np.ndarray, np.ndarray]:
    """Return the key of each turn by its exact texts, uint64 [n], and whether it has a text, bool [n]."""
    question, answer = block.question, block.answer
    if kind.name == "answer":
        return answer, answer != 0
    if kind.name.startswith("question"):
        key, filled = question, question != 0
    else:
        key, filled = mix(question, answer), (question != 0) | (answer != 0)
    return (mix(key, rule.images[block.row]) if kind.on_image else key), filled


def _near_keys(block: TurnBlock, kind: Kind, rule: GroupRule) -> np.ndarray:
    """Return the key of each turn by the clusters of its texts: uint64 [n]."""
    if kind.name != "pair":
        return rule.clusters[kind.name].of(block.question if kind.name == "question" else block.answer)
    return mix(rule.clusters["question"].of(block.question), rule.clusters["answer"].of(block.answer))


class _Distinct:
    """Counts different values by group."""

    def __init__(self, group: np.ndarray, groups: int) -> None:
        self._group, self._groups = group, groups

    def count(self, values: np.ndarray) -> np.ndarray:
        """Return the number of different values of each group, int64 [groups]."""
        order = np.lexsort((values, self._group))
        group, ordered = self._group[order], values[order]
        new = (group[1:] != group[:-1]) | (ordered[1:] != ordered[:-1])
        return np.bincount(group[np.append(np.ones(min(len(order), 1), bool), new)], minlength=self._groups)


def _counts(
    corpus: TextCorpus,
    kind: Kind,
    turns: _Turns,
    group: np.ndarray,
    is_group: np.ndarray,
    template: np.ndarray,
    subsets: np.ndarray,
    first: np.ndarray,
) -> pa.Table:
    """Count by subset, and over all (`ALL`): table of `COUNTS_SCHEMA`."""
    count = len(corpus.subsets)
    repeats, of_template = is_group & ~template, template[group]
    # Each group of each subset once, with its number of turns there.
    cells, inverse, sizes = np.unique(group * count + turns.subset, return_inverse=True, return_counts=True)
    cell_group, cell_subset = np.divmod(cells, max(count, 1))
    repeated = repeats[group]
    later = np.ones(len(group), bool)
    later[first] = False
    of_turns = {
        "turns": np.ones(len(group), bool),
        "repeated": repeated,
        "repeated_within": repeated & (sizes[inverse] > 1),
        "repeated_across": repeated & (subsets[group] > 1),
        "redundant": repeated & later,
        "of_templates": of_template,
    }
    by_subset = {name: np.bincount(turns.subset[chosen], minlength=count) for name, chosen in of_turns.items()}
    by_subset["texts"] = np.bincount(cell_subset, minlength=count)
    by_subset["templates"] = np.bincount(cell_subset[template[cell_group]], minlength=count)
    total = {name: int(chosen.sum()) for name, chosen in of_turns.items()}
    total |= {"texts": len(first), "templates": int(template.sum())}
    columns = {
        "subset": [*corpus.subsets, ALL],
        "kind": [kind.name] * (count + 1),
        "match": [kind.match] * (count + 1),
        **{name: np.append(by_subset[name], total[name]) for name in _COUNTS},
    }
    return pa.table(columns, schema=COUNTS_SCHEMA)


def _listed_turns(
    corpus: TextCorpus,
    kind: Kind,
    turns: _Turns,
    group: np.ndarray,
    is_group: np.ndarray,
    first: np.ndarray,
) -> pa.Table:
    chosen = np.flatnonzero(is_group[group]) if kind.lists_turns else np.empty(0, np.int64)
    values = {"group_id": hash_names(turns.key[chosen]), "is_first": first[group[chosen]] == chosen}
    return _located(TURNS_SCHEMA, corpus, kind, turns.turn[chosen], values)


def _located(
    schema: pa.Schema,
    corpus: TextCorpus,
    kind: Kind,
    turns: np.ndarray,
    values: Mapping[str, np.ndarray | pa.Array],
) -> pa.Table:
    """Return a table of values with the positions of turns, by their index in the corpus, int64 [n]."""
    subset, row, turn = corpus.positions(turns)
    columns = {
        "kind": [kind.name] * len(turns),
        "match": [kind.match] * len(turns),
        "subset": pa.array(list(corpus.subsets), pa.string()).take(pa.array(subset)),
        "row": row,
        "turn": turn,
        **values,
    }
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def add_up(counts: pa.Table) -> pa.Table:
    """Add up the counts of all parts: table of `SUMMARY_SCHEMA`, by subset (`ALL` last), kind and match."""
    keys = ["subset", "kind", "match"]
    added = counts.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in _COUNTS])
    added = added.rename_columns([name.removesuffix("_sum") for name in added.column_names])
    order = [(name, "ascending") for name in ("last", *keys)]
    turns = added["turns"].cast(pa.float64())
    share = pc.divide(added["repeated"].cast(pa.float64()), pc.if_else(pc.greater(turns, 0), turns, None))
    added = added.append_column("share", share).append_column("last", pc.equal(added["subset"], ALL))
    return added.sort_by(order).select(SUMMARY_SCHEMA.names)


def largest(groups: pa.Table) -> pa.Table:
    """Return the `LISTED` largest groups of each kind, of those of all parts: table of `GROUPS_SCHEMA`."""
    found = [GROUPS_SCHEMA.empty_table()]
    for kind in KINDS:
        of_kind = groups.filter(pc.and_(pc.equal(groups["kind"], kind.name), pc.equal(groups["match"], kind.match)))
        found.append(of_kind.sort_by([("turns", "descending"), ("group_id", "ascending")]).slice(0, LISTED))
    return pa.concat_tables(found)


def fully_repeated_rows(corpus: TextCorpus, turns: pa.Table) -> pa.Table:
    """Return the rows of which every question-answer pair occurs in another row with the same images.

    Args:
        corpus: the corpus.
        turns: table of `TURNS_SCHEMA`, turns of the kind `pair_on_image`.

    Returns:
        table of subset and row, in order.
    """
    found = [pa.schema([("subset", pa.string()), ("row", pa.int64())]).empty_table()]
    for index, subset in enumerate(corpus.subsets):
        repeated = turns.filter(pc.equal(turns["subset"], subset))["row"].to_numpy()
        all_turns = np.bincount(corpus.rows_of_turns(index))
        counted = np.bincount(repeated, minlength=len(all_turns))
        rows = np.flatnonzero((counted > 0) & (counted == all_turns))
        found.append(pa.table({"subset": pa.array([subset] * len(rows), pa.string()), "row": rows}))
    return pa.concat_tables(found)
