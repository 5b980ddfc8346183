"""Files into a library: embedded, described, compared, kept in step with their folders; and tags back into files.

In: folders and an `Embedder`. Out: what a `LibraryStore` holds of them, and an outcome for each file.
"""
