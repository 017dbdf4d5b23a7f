"""Whole conversations between parties, in one process."""
