-- Title: How diverse is each subset?
-- Description: Centered, repeated images included, as in FineVision's article. Subsets of fewer than 1,024 images score low.
SELECT subset, images, round(effective_rank, 1) AS effective_rank, round(participation_ratio, 1) AS participation_ratio,
    round(participation_ratio_unbiased, 1) AS unbiased, round(vendi, 1) AS vendi, round(score, 3) AS score
FROM diversity WHERE scope = 'subset' AND centered ORDER BY score DESC
