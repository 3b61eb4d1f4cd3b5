"""What is in the image data of vision-language training sets, as Dagster assets.

`definitions.py` is the entry point for Dagster and `cli.py` the one for the shell. The rooms below them (`sources`,
`imaging`, `embedders`, `search`, `diversity`, `storage`) know nothing of Dagster and can be used as a library.
"""
