"""A recipe and tracks to a trained encoder; teachers whose outputs it may learn from.

In: a recipe, tracks in the cache. Out: a run's folder with its log, its state and, at the end, the encoder.
"""
