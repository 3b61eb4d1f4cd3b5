-- Title: How many images have a close image in their own subset, by threshold?
-- Description: By similarity only; close images need not be copies.
SELECT subset, count(DISTINCT image_id) AS images,
    count(DISTINCT image_id) FILTER (WHERE neighbors_finevision > 0) AS finevision,
    count(DISTINCT image_id) FILTER (WHERE neighbors_hf_toolkit > 0) AS hf_toolkit,
    count(DISTINCT image_id) FILTER (WHERE neighbors_sscd_paper > 0) AS sscd_paper
FROM images WHERE status = 'ok' GROUP BY subset ORDER BY subset
