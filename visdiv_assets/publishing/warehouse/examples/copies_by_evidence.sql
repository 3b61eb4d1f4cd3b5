-- Title: What kinds of copies does each subset hold?
-- Description: Images that are copies of an image kept elsewhere, by how they differ from it.
SELECT subset, evidence, count(*) AS images
FROM duplicate_clusters WHERE reason IN ('exact_copy', 'near_copy') GROUP BY ALL ORDER BY subset, images DESC, evidence
