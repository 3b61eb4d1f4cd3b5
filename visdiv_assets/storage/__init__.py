"""Where results are kept: the Parquet lake and the DuckDB file published from it.

Belongs here: atomic writes, manifests, units of work that are found again, the schema of the warehouse and its
publisher. Does not: what the rows mean or how they are computed.
"""
