"""Worked examples on real, public microdata. The data come from an installed package and are never copied into this repository."""
