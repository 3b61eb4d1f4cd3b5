"""What publishing does where optional modules are not installed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets import extras
from visdiv_assets.errors import ConfigError
from visdiv_assets.publishing.maps.clusters import find_clusters
from visdiv_assets.publishing.maps.layout import layout
from visdiv_assets.publishing.plots.diversity import plot_spectrum
from visdiv_assets.publishing.plots.figures import can_plot
from visdiv_assets.publishing.site.build import bundle
from visdiv_assets.publishing.site.chart_png import leaks_image


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)


def test_a_plot_names_the_extra_to_install() -> None:
    assert not can_plot()
    with pytest.raises(ConfigError, match=r"matplotlib is not installed: run `pip install 'visdiv-assets\[reports\]'`"):
        plot_spectrum(np.array([0.6, 0.4]), 10, few=True)


def test_the_site_names_the_extra_to_install() -> None:
    with pytest.raises(ConfigError, match=r"vl_convert is not installed: .*\[reports\]"):
        bundle()


def test_maps_name_the_extra_to_install() -> None:
    vectors = np.eye(64, dtype=np.float32)
    with pytest.raises(ConfigError, match=r"umap is not installed: .*\[maps\]"):
        layout(vectors, np.arange(64), "umap")
    with pytest.raises(ConfigError, match=r"sklearn is not installed: .*\[maps\]"):
        find_clusters(np.zeros((100, 2), np.float32))


def test_charts_that_decorate_metadata_are_skipped() -> None:
    rates = pa.table({"benchmark": ["exam"], "images_contaminated": [3], "rate": [0.1]})
    assert leaks_image(rates) is None
