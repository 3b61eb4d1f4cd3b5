"""The DuckDB file: its schema, the comments on its columns, and how it is filled, published and queried."""
