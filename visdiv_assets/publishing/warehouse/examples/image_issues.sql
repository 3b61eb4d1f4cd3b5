-- Title: Which subsets have dark, blurred or odd images?
-- Description: One row per subset and issue of image quality, with the number and share of the images that have it.
SELECT subset, issue, images, round(100 * share, 2) AS percent FROM image_issues WHERE images > 0
ORDER BY subset, images DESC, issue
