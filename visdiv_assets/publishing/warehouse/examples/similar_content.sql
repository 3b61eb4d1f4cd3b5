-- Title: Which images have similar content but are not copies?
-- Description: Pairs whose CLIP vectors are close and whose SSCD vectors are not. Empty without CLIP vectors.
SELECT p.subset, a."row" AS row_a, b."row" AS row_b, round(p.clip_similarity, 2) AS clip_similarity,
    round(p.sscd_similarity, 2) AS sscd_similarity
FROM clip_pairs p
JOIN images a ON a.subset = p.subset AND a.image_id = p.image_id_a
JOIN images b ON b.subset = p.subset AND b.image_id = p.image_id_b
WHERE p.clip_similarity >= 0.95 AND p.sscd_similarity < 0.7
ORDER BY p.clip_similarity - p.sscd_similarity DESC LIMIT 20
