-- Title: How good are the answers in each category?
-- Description: Mean ratings of rows, from 1 (worst) to 5 (best), by FineVision's category of the subset.
SELECT coalesce(category, 'other') AS category, count(rating) AS rows_rated, round(avg(rating), 2) AS rating,
    round(avg(relevance), 2) AS relevance, round(avg(image_correspondence), 2) AS image_correspondence,
    round(avg(visual_dependency), 2) AS visual_dependency, round(avg(formatting), 2) AS formatting
FROM rows JOIN subsets USING (subset) GROUP BY ALL ORDER BY rating, category
