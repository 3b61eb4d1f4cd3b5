"""Maps: vectors laid out in the plane, so that people see what a subset holds.

Belongs here: the layout, the clusters on it and their names, the plot. Does not: the interactive page (`reports.maps`),
or anything that is decided from vectors: a map distorts distances.
"""
