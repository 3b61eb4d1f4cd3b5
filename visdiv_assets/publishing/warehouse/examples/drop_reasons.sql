-- Title: Why are rows dropped?
-- Description: A row that several reasons apply to counts for the first of them.
SELECT reason, count(*) AS "rows", count(DISTINCT subset) AS subsets
FROM rows WHERE NOT kept GROUP BY reason ORDER BY "rows" DESC, reason
