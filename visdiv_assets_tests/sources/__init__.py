"""Tests of the sources: the rows they yield, and the messages of their errors."""
