"""Tests of `curation.image_types`."""
