-- Title: How diverse are equally many images of each subset?
-- Description: Mean score of repeated random samples, with the interval of 90 % of the samples.
SELECT subset, sample_size, samples, round(score_mean, 3) AS score, round(score_low, 3) AS "from",
    round(score_high, 3) AS "to"
FROM diversity_rarefied ORDER BY sample_size, score_mean DESC, subset
