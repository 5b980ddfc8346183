"""Files into a library: embedded, described, compared, kept in step with their folders; and tags back into files.

In: folders and an `Embedder`. Out: what a `LibraryStore` holds of them, and an outcome for each file.

Import from the modules, as embedding.py brings torch and worker processes must not: finding.py (which files),
seen.py (a file beside what the library knows of it), embedding.py (files to vectors), sync.py and watch.py (folders
that change), duplicates.py, description.py (tempo, key, loudness), tagging/ (into files' own tags, and out again).
"""
