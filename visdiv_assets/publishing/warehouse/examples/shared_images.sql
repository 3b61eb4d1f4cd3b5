-- Title: Which subsets share the most images?
-- Description: The images of each of two subsets that are byte-equal to images of the other, or confirmed copies; the top three.
SELECT subset_a AS subset, subset_b AS other_subset,
    count(DISTINCT (row_a, image_index_a)) AS images, count(DISTINCT (row_b, image_index_b)) AS images_of_other
FROM duplicates WHERE subset_a <> subset_b GROUP BY ALL ORDER BY images DESC, subset, other_subset LIMIT 3
