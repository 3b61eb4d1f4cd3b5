-- Title: What kinds of copies of benchmark images are there?
-- Description: Contaminated images by evidence, with the lowest and highest similarity to the benchmark image.
SELECT evidence, count(DISTINCT image_id) AS images, round(min(similarity), 2) AS lowest,
    round(max(similarity), 2) AS highest
FROM contamination_pairs WHERE verdict = 'confirmed' GROUP BY evidence ORDER BY images DESC, evidence
