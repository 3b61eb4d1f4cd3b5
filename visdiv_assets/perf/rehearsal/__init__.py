"""The rehearsal of FineVision's size: a made-up lake of N pictures, and every stage that concerns many of them.

Belongs here: the plan of the lake, making it, what is planted in it, finding that again, and what it costs. Does not:
running the stages, which is Dagster's (`visdiv_assets.perf.rehearsal.dagster_runs`). Pictures are neither decoded, embedded nor compared
by their pixels here: there are none.
"""
