-- Title: Which subsets share the most images?
-- Description: The share of a subset's images with a close or byte-equal image in another subset; the top three.
SELECT subset, other_subset, images_shared, images, round(100 * share, 2) AS "share %"
FROM subset_overlap WHERE threshold = 0.75 ORDER BY share DESC, subset, other_subset LIMIT 3
