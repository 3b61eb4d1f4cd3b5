"""Maps: vectors laid out in the plane, which show what a subset holds.

Belongs here: the layout (`layout`), clusters and their names (`clusters`), the table of points (`points`) and the
interactive page (`page`). Static plots of maps are in `plots.maps`. No decision may depend on a map, since it distorts
distances.
"""
