-- Title: Which formats do the images have, and how many bytes are they?
-- Description: Readable images by file format.
SELECT format, count(*) AS images, sum(size_bytes)::BIGINT AS bytes, round(avg(size_bytes) / 1000, 1) AS "mean kB"
FROM images WHERE status = 'ok' GROUP BY format ORDER BY bytes DESC, format
