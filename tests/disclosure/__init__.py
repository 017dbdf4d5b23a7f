"""One file for each attack of docs/threat-model.md; the stem is the attack's name, the docstring gives its number."""
