"""The site that `visdiv report` writes: all subsets at a glance, as pages that open from disk.

Belongs here: what its pages say (`overview`, `contamination`, `overlap`, `diversity` with `against_size` and `spectra`,
`thresholds` with `calibration`, `clusters`, `quality`), their charts (`charts`, `heat_maps`; `images` for Dagster's
metadata), what a page is made of (`parts`; `scores` for those of diversity), how it becomes HTML (`render`), how the
site is put in place (`build`). The numbers are those of the published DuckDB file. Does not: how they are found, the
reports on single subsets and benchmarks (`reports`).
"""
