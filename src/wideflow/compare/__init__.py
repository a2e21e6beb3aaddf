"""Theory and trained networks side by side, with verdicts: what `wideflow compare` runs.

Imports nothing here: the command line reads `settings` and `folder` before JAX is loaded.
"""
