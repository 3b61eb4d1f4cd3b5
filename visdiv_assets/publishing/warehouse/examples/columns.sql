-- Title: What do the columns of a table mean?
-- Description: Every table and column has a comment; this query shows those of the table quality.
SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'quality' ORDER BY column_index
