-- Title: How many rows hold texts of a benchmark?
-- Description: Rows whose question or answer shares n-grams of 8 or 13 words with the benchmark, or a whole short text (0).
SELECT subset, benchmark, ngram_size, rows_matched, rows_half_matched, "rows", round(100 * rate, 2) AS "rate %"
FROM text_contamination_rates WHERE benchmark <> 'ALL' ORDER BY subset, benchmark, ngram_size
