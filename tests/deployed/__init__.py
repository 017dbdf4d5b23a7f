"""A consortium whose parties have homes of their own, run by hand."""
