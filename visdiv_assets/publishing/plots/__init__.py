"""Static plots, as PNG, for the metadata of assets and for reports."""
