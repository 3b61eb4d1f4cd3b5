"""Measurements, run by hand: they print figures and never fail on a time."""
