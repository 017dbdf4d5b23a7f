"""Commands for a consortium whose parties have homes of their own."""
