-- Title: Which images cannot be read, and why?
-- Description: One row per unreadable image position, with the kind of defect and what was found in its bytes.
SELECT subset, "row", status, detail FROM images WHERE status <> 'ok' ORDER BY subset, "row", image_index
