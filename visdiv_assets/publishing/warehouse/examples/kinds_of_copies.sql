-- Title: What kinds of copies are there, and how similar are they?
-- Description: Confirmed pairs of different images by evidence, with the lowest and highest SSCD similarity.
SELECT evidence, count(*) AS pairs, round(min(similarity), 2) AS lowest, round(max(similarity), 2) AS highest
FROM close_pairs WHERE verdict = 'confirmed' GROUP BY evidence ORDER BY pairs DESC, evidence
