"""Comparison with other tools that find copies, on a corpus whose planted copies are known."""
