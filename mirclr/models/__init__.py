"""The encoder: its network, the file it is kept in, and what makes vectors of excerpts by it.

In: log-mel or waveforms, a recipe, a checkpoint. Out: embeddings, and the `EncoderStamp` that names who made them.
Each module is imported by its name: `stamp` and `pretrained` load no torch.
"""
