"""The site that `visdiv report` writes: pages on the whole corpus that open from disk.

Belongs here: the pages (`overview`, `clean_copy`, `contamination`, `texts`, `overlap`, `clusters`, `diversity` with
`by_sample_size` and `spectra`, `thresholds` with `calibration`, `quality`, `alignment`, `maps`, `selection`), their
charts (`charts`, `heat_maps`; `chart_png` for the metadata of assets), the data model of a page (`page_model`,
`score_cells`), its HTML (`render`), writing the site (`build`) and access to its data (`report_data`: the published
DuckDB file, the lake and the source). Reports on single subsets and benchmarks are in `reports`.
"""
