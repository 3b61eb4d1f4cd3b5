-- Title: Which kinds of images are copied, and which stand in benchmarks?
-- Description: Images of each type in all subsets, those that are a copy of one that stays, and those that leaked.
SELECT coalesce(type::VARCHAR, 'unknown') AS type, count(*) AS images,
    count(*) FILTER ((subset, "row", image_index) IN
        (SELECT (subset, "row", image_index) FROM duplicate_clusters WHERE reason <> 'best')) AS copies,
    count(*) FILTER ((subset, "row", image_index) IN
        (SELECT (subset, "row", image_index) FROM contamination_pairs WHERE verdict = 'confirmed')) AS leaked
FROM image_types WHERE method = 'features' GROUP BY type ORDER BY images DESC, type
