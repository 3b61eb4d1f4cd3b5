"""Which rows are worth keeping.

Belongs here: rules over ratings and other columns, and what each would drop. Does not: how similarities or scores are
computed.
"""
