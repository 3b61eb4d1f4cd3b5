-- Title: Which images of benchmarks leak most?
-- Description: Images of benchmarks by the number of their confirmed copies in the training data; the first five.
SELECT benchmark, benchmark_row, benchmark_image_index, count(*) AS copies, count(DISTINCT subset) AS subsets
FROM contamination_pairs WHERE verdict = 'confirmed'
GROUP BY ALL ORDER BY copies DESC, benchmark, benchmark_row, benchmark_image_index LIMIT 5
