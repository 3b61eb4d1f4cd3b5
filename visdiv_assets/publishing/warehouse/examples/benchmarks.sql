-- Title: Which benchmarks were compared, how large are they, and how much of them leaked?
-- Description: Leaked images have a confirmed copy in the training data; the last column names the subsets with most of them.
SELECT benchmark, "rows", images, images_leaked, round(100 * leaked_share, 1) AS "leaked %", top_subsets
FROM benchmark_summary ORDER BY leaked_share DESC, benchmark
