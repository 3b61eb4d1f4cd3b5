-- Title: How are the answers rated?
-- Description: Number of turns by criterion and rating, from 1 (worst) to 5 (best); turns without a rating are left out.
PIVOT (SELECT criterion, rating, turns FROM quality WHERE rating IS NOT NULL) ON rating USING sum(turns)
GROUP BY criterion ORDER BY criterion
