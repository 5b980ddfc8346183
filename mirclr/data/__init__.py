"""What tracks there are, and batches of them.

In: folders, manifests, corpora. Out: `Track`s, and from the cache of their clips batches with `Targets`, each a
function of (seed, step). Modules are imported by name; `scan`, `cue`, `manifest` and `corpora` load no torch.
"""
