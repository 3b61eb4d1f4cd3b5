-- Title: How many questions and answers repeat?
-- Description: Turns whose text another turn has. Template questions, which stand beside many images, are counted apart.
SELECT subset, turns, questions_repeated, answers_repeated, pairs_repeated, pairs_near, pairs_on_image_repeated,
    templates, of_templates, round(100 * pairs_repeated_share, 2) AS "pairs repeated %"
FROM text_summary ORDER BY subset = 'ALL', subset
