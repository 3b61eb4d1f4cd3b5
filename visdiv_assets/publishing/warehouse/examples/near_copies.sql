-- Title: Which rows hold near duplicates?
-- Description: Pairs of image positions with confirmed copies, except byte-equal ones; the first five.
SELECT subset_a, row_a, subset_b, row_b, round(similarity, 2) AS similarity
FROM duplicates WHERE NOT exact
ORDER BY subset_a, row_a, image_index_a, subset_b, row_b, image_index_b LIMIT 5
