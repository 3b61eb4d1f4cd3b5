-- Title: Which subsets are most contaminated?
-- Description: Mean over the benchmarks of the share of images that are confirmed copies of a benchmark image, and the share in any benchmark with its 95 % interval.
SELECT subset, round(100 * avg(c.rate), 2) AS "mean %", round(100 * any_value(t.rate), 2) AS "any %",
    round(100 * any_value(t.ci_low), 2) AS "from %", round(100 * any_value(t.ci_high), 2) AS "to %"
FROM contamination c JOIN contamination_total t USING (subset) GROUP BY subset ORDER BY avg(c.rate) DESC, subset
