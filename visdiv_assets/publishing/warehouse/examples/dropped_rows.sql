-- Title: Which rows does a clean copy drop, where are they, and what do they say?
-- Description: With their file, the image that they are dropped for and the beginning of their texts; the first five.
SELECT subset, file, row_in_file, reason, witness, witness_row, question, answer
FROM rows WHERE NOT kept ORDER BY subset, "row" LIMIT 5
