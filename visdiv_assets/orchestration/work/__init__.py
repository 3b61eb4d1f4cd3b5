"""Units of work that the engines run, and how a partition is made from them.

Belongs here: the inputs of a unit, and the function that computes one from the lake and the source. Does not: the
computation itself, Dagster.
"""
