-- Title: How large are the images of each subset?
-- Description: Width and height in pixels: the smallest, the median and the largest.
SELECT subset, count(*) AS images, min(width) AS width_min, median(width) AS width_median, max(width) AS width_max,
    min(height) AS height_min, median(height) AS height_median, max(height) AS height_max
FROM images WHERE status = 'ok' GROUP BY subset ORDER BY subset
