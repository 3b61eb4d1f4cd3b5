-- Title: How many rows of each subset does a clean copy keep?
-- Description: The subsets that lose most of their rows first.
SELECT subset, "rows", rows_clean, round(100 * kept_share, 1) AS "kept %"
FROM subset_summary ORDER BY kept_share, subset
