"""Ratings of a subset's turns by a vision-language model behind an OpenAI-compatible endpoint."""

import time
from pathlib import Path

import dagster as dg

from visdiv_assets.corpus.image_fetch import ImageFetcher
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.curation.judge.answers import Answers
from visdiv_assets.curation.judge.asking import Judge
from visdiv_assets.curation.judge.budget import Budget, parse_limit
from visdiv_assets.curation.judge.endpoint import Endpoint
from visdiv_assets.curation.judge.images import MAX_SIDE, QUALITY
from visdiv_assets.curation.judge.profiles import load_profile
from visdiv_assets.curation.judge.ratings import JUDGE_SCHEMA, count_ratings, rate_batches
from visdiv_assets.curation.judge.tasks import RowImages, turn_batches
from visdiv_assets.errors import ConfigError
from visdiv_assets.imaging.limits import decoding_settings
from visdiv_assets.orchestration.assets.stage import (
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    stage,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import DecoderResource, JudgeResource, LakeResource, SourceResource
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind

CODE_VERSION = "1"

#: Marks a unit of which every question was answered; others are made again, and ask only what is still open.
COMPLETE = {"open": "0"}


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SUBSET_TURNS],
    group_name="8_judge",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(JUDGE_SCHEMA),
    check_specs=[
        check_spec(
            "all_answered",
            asset=LakeTable.JUDGE_RATINGS,
            partitions_def=subset_partitions,
            description="Every question was answered; if not, the next run asks the rest.",
        ),
        check_spec(
            "no_suspected_injection",
            asset=LakeTable.JUDGE_RATINGS,
            partitions_def=subset_partitions,
            description="No text of a turn addresses the judge, by a list of phrases, and no text in an image does, by "
            "the judge's own answer.",
        ),
    ],
)
def judge_ratings(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    judge: JudgeResource,
) -> dg.MaterializeResult:
    """Ratings of a subset's turns by a judge: a model behind an OpenAI-compatible endpoint (VISDIV_JUDGE_URL).

    With the profile finevision, the judge is asked only for ratings that the source lacks. A turn without an answer has
    NULL and a reason. Answers are kept by the hash of prompts, model, texts, images and their decoding, and never asked
    for twice. A run ends when VISDIV_JUDGE_BUDGET is reached, and the next one continues. Only the job judge_pipeline,
    and `visdiv run` if VISDIV_JUDGE_URL is set, include this asset.
    """
    begin = time.monotonic()
    with stage(context, lake, LakeTable.JUDGE_RATINGS, CODE_VERSION) as run:
        if not judge.url:
            raise ConfigError("no turn is rated, because VISDIV_JUDGE_URL is not set: set it, and VISDIV_JUDGE_MODEL")
        profile = load_profile(judge.profile)
        images, turns = run.require(LakeTable.SUBSET_IMAGES), run.current_turns()
        source_first = judge.ratings_from != "judge"
        write = run.write(
            digests_by_table(images, turns),
            settings={
                "profile": profile.name,
                "prompts": profile.version,
                "model": judge.model,
                "source_first": source_first,
                "image_side": MAX_SIDE,
                "image_quality": QUALITY,
                **decoding_settings(decoder.decoding),
            },
            source_revision=turns.source_revision,
        )
        earlier = run.lake.manifest(LakeTable.JUDGE_RATINGS, run.partition)
        rated_before = {unit.name for unit in earlier.units} if earlier else set()
        budget = Budget(parse_limit(judge.budget))
        open_questions, shards_left = 0, 0
        with (
            Answers(Path(judge.answers)) as answers,
            Judge(
                Endpoint(judge.url, judge.key(), budget),
                answers,
                profile,
                judge.model,
                judge.concurrency,
                decoder.limits,
            ) as asking,
            progress(f"rating {run.partition}", turns.rows("rows"), "row") as advance,
        ):
            fetcher = ImageFetcher(run.lake, source.open(), [(Kind.SUBSET, images)])
            for shard in stored_turns(run.lake, turns):
                inputs = {"turns": shard.digest, "images": images.digest}
                if write.reuse(shard.name, {**inputs, **COMPLETE}):
                    advance(shard.rows)
                    continue
                # Of a file that an earlier run has begun, the known answers are written again, or they would be lost.
                if asking.is_spent and shard.name not in rated_before:
                    shards_left += 1
                    continue
                before = asking.unanswered
                rated = list(
                    rate_batches(
                        turn_batches(
                            shard,
                            RowImages(run.lake, images, shard, decoder.decoding),
                            profile,
                            judge.model,
                            source_first=source_first,
                        ),
                        asking,
                        fetcher,
                        profile,
                        judge.model,
                        progress=advance,
                    )
                )
                left = asking.unanswered - before
                # With open questions, another run's files differ: they must not replace those that are committed.
                state = {"open": str(left), "run": context.run.run_id} if left else COMPLETE
                with write.add(shard.name, {**inputs, **state}) as unit:
                    unit.table("rows", rated, JUDGE_SCHEMA)
                open_questions += left
        draft = write.draft()
        facts = count_ratings(run.lake.dataset(draft).to_batches() if draft.units else [])
        facts |= {"questions_open": open_questions, "shards_left": shards_left}
        manifest = write.commit(inputs=None, **facts)
    if open_questions or shards_left:
        context.log.warning(
            f"{open_questions} questions about {run.partition!r} have no answer, and {shards_left} files were not "
            "begun: the same command asks the rest"
        )
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": facts["turns"],
            **facts,
            "questions_asked": asking.asked,
            "questions_known": asking.known,
            "requests": budget.requests,
            "tokens_in": budget.tokens_in,
            "tokens_out": budget.tokens_out,
            "units_reused": write.reused,
            "seconds": time.monotonic() - begin,
            "model": judge.model,
            "prompts": profile.version,
        },
        [
            dg.AssetCheckResult(
                check_name="all_answered",
                passed=not open_questions and not shards_left,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"questions_open": open_questions, "shards_left": shards_left},
            ),
            dg.AssetCheckResult(
                check_name="no_suspected_injection",
                passed=not facts["turns_suspected"],
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"turns_suspected": facts["turns_suspected"]},
            ),
        ],
    )
