-- Title: Which rows does a clean copy drop, and because of which image?
-- Description: The witness is the image that makes the row a duplicate or contaminated; the first five rows.
SELECT subset, "row", reason, detail, witness, witness_row, round(similarity, 2) AS similarity,
    round(confidence, 3) AS confidence, evidence
FROM dropped_rows ORDER BY subset, "row" LIMIT 5
