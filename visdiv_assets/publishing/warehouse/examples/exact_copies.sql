-- Title: Which rows hold byte-equal images?
-- Description: Pairs of image positions with the same bytes, within and between subsets; the first five.
SELECT subset_a, row_a, subset_b, row_b FROM duplicates WHERE exact ORDER BY ALL LIMIT 5
