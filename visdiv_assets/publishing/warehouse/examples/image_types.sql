-- Title: What kinds of images does each subset have?
-- Description: Share of each type of image by subset, in percent; the method that cannot name table, math and map.
SELECT subset, coalesce(type::VARCHAR, 'unknown') AS type, images, round(100 * share, 1) AS percent
FROM image_type_summary WHERE method = 'features' ORDER BY subset, images DESC, type
