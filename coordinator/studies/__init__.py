"""Studies that ship with the product, as files to copy and change. A kind that does not exist yet is left out of them."""
