"""What every party of a federation must agree on.

Pure: no input or output, no clock, no entropy of its own (`entropy.py` and the command-line shells alone read the operating system).
Imports nothing else of this project.
"""
