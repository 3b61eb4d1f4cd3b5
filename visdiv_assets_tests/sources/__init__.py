"""Tests of where rows come from: what is yielded, and what the user is told when it cannot be."""
