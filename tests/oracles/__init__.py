"""Slow, plain second implementations that the product is compared with."""
