-- Title: Has it improved since last month?
-- Description: Each subset now and at its last publication that is at least 30 days old; NULL if there is none.
SELECT s.subset, h.published_at::DATE AS "before", h.rows_clean AS clean_before, s.rows_clean,
    h.images_duplicate AS duplicate_before, s.images_duplicate,
    h.images_contaminated AS contaminated_before, s.images_contaminated
FROM subset_summary s LEFT JOIN (
    SELECT DISTINCT ON (subset) * FROM history WHERE published_at <= now() - INTERVAL 30 DAY
    ORDER BY subset, published_at DESC
) h USING (subset) ORDER BY s.subset
