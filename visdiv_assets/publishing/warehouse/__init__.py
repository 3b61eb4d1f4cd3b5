"""The DuckDB file: its schema, the comments on its columns, its content, its queries, SQL examples."""
