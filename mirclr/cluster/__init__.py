"""The same work on the machines of a cluster, by Ray: songs to vectors, guesses and a teacher's outputs.

In: folders, manifests or addresses of object storage. Out: a folder of Parquet shards, or of soft labels, to which each
task commits a whole file at once. A library takes the shards in (`mirclr.cluster.importing`).

Ray schedules, retries and moves the work; what runs in its processes is what runs here: decoding in a process apart,
the encoder, the heads. Shards are committed whole and under names that a task which is run again gives again, so a
worker that is killed loses nothing, and nothing is done twice.

Contents: session.py (a cluster, or one of this machine; the only door to ray), listing.py (which songs), reading.py
(a song's sound, wherever it is), shards.py (the Parquet files), embedding.py, guessing.py and labelling.py (the work),
importing.py (into a library).
"""
