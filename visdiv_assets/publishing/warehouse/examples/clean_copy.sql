-- Title: How many rows does a clean copy keep, and why are the others dropped?
-- Description: One row per subset. A row that several reasons apply to counts for the first of them.
SELECT s.subset, s."rows", s."rows" - count(d.reason) AS kept,
    count(*) FILTER (WHERE d.reason = 'unreadable') AS unreadable,
    count(*) FILTER (WHERE d.reason = 'contaminated') AS contaminated,
    count(*) FILTER (WHERE d.reason = 'duplicate') AS duplicate
FROM subsets s LEFT JOIN dropped_rows d USING (subset) GROUP BY s.subset, s."rows" ORDER BY s.subset
