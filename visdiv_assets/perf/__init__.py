"""Speed and memory against comparable tools, and the rehearsal at full size; the command is `visdiv perf`.

Belongs here: measurements, each a function that returns `measuring.Figure`s. Does not: anything that the pipeline
needs.
"""
