"""What vectors are worth: probes, retrieval, curves over the number of labels, held-out listens, a report on own music.

In: a library or an encoder, with labels or a listener's history. Out: scores, with baselines and chance beside them.
"""
