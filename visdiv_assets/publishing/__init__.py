"""Findings as people and BI tools read them: the DuckDB file, reports, the report site, maps and plots."""
