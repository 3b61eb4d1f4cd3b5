"""Static plots as PNG, for the metadata of assets. They need matplotlib (extra `reports` or `maps`)."""
