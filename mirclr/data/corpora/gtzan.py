"""GTZAN genres, with the fault-filtered split.

Layout: ``genres/blues/blues.00000.wav`` (or ``.au``; the folder may have any name), and, anywhere beside
them, the published split files ``train_filtered.txt``, ``valid_filtered.txt``, ``test_filtered.txt``: one
file a line.
"""

from pathlib import Path
from typing import get_args

from mirclr.data.corpora.description import Corpus, Reading
from mirclr.data.corpora.published import Published
from mirclr.data.manifest import Split, Track

CORPUS = Corpus(
    name="gtzan",
    title="GTZAN genres",
    licence="none stated; in use for research",
    obtained="folder",
    citation=(
        "G. Tzanetakis, P. Cook: Musical genre classification of audio signals, IEEE Trans. Speech and Audio "
        "Processing 10(5), 2002. Split: C. Kereliuk, B. Sturm, J. Larsen: Deep learning and music "
        "adversaries, IEEE Trans. Multimedia 17(11), 2015."
    ),
    homepage="https://github.com/jongpillee/music_dataset_split/tree/master/GTZAN_split",
)


def read(folder: Path) -> Reading:
    """Read the tracks of the three split files; those that the split leaves out stay out."""
    published = Published(folder, CORPUS)
    tracks = []
    for split in get_args(Split):
        for line in published.table(f"{split}_filtered.txt").read_text("utf-8", "replace").splitlines():
            listed = line.strip().replace("\\", "/")
            if not listed:
                continue
            path = published.audio(listed)
            if path is None:
                continue
            name = listed.rpartition("/")[2].rpartition(".")[0]
            genre = name.partition(".")[0]
            tracks.append(
                Track(
                    id=f"gtzan/{name}",
                    path=path,
                    genre=genre,
                    split=split,
                    licence=CORPUS.licence,
                )
            )
    return Reading(tracks, published.problems())
