"""Commands of a city that has a home of its own in a consortium."""
