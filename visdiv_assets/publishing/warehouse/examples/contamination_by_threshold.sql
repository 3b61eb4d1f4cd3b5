-- Title: How many images of each subset are in each benchmark, by verdict and by similarity?
-- Description: By confirmed copies and by similarity at two thresholds, with the Wilson 95 % interval of the rate.
SELECT subset, benchmark, rule, threshold, images_contaminated, images, round(100 * rate, 2) AS "rate %",
    round(100 * ci_low, 2) AS "from %", round(100 * ci_high, 2) AS "to %", benchmark_images_leaked
FROM contamination_rates WHERE benchmark <> 'ALL' AND (rule = 'confirmed' OR threshold IN (0.75, 0.95))
ORDER BY subset, benchmark, rule, threshold
