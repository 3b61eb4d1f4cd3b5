"""Speed and memory against the tools that people would use instead; what `visdiv perf` prints.

Belongs here: measurements, each a function that returns `measuring.Figure`s. Does not: what the pipeline needs.
"""
