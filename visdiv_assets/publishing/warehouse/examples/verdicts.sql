-- Title: How similar are confirmed copies and rejected look-alikes?
-- Description: Compared pairs by verdict and evidence or reason, and how many of them FineVision's threshold accepts.
SELECT verdict, coalesce(nullif(reason, ''), evidence) AS explanation, count(*) AS pairs,
    round(min(similarity), 2) AS lowest, round(max(similarity), 2) AS highest,
    count(*) FILTER (WHERE similarity >= 0.95) AS at_finevision
FROM close_pairs WHERE verdict IS NOT NULL GROUP BY ALL ORDER BY verdict, pairs DESC, explanation
