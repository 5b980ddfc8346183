"""MagnaTagATune: 25,863 clips of 29 s with 188 tags by players of a game.

Layout: ``annotations_final.csv`` (tab-separated: clip_id, a 0/1 column per tag, mp3_path),
``clip_info_final.csv`` (tab-separated, optional here) and ``0/…mp3`` to ``f/…mp3``. The usual split goes by
that first folder.
"""

import re
from pathlib import Path

from mirclr.data.corpora.description import Corpus, Reading
from mirclr.data.corpora.published import Published, read_rows
from mirclr.data.manifest import Split, Track

CORPUS = Corpus(
    name="magnatagatune",
    title="MagnaTagATune",
    licence="audio CC BY-NC-SA (Magnatune); annotations for research",
    obtained="folder",
    citation=(
        "E. Law, K. West, M. Mandel, M. Bay, J. S. Downie: Evaluation of algorithms using games: the case of "
        "music tagging, ISMIR 2009."
    ),
    homepage="https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset",
)

_SPLITS: dict[str, Split] = {
    **dict.fromkeys("0123456789ab", "train"),
    "c": "valid",
    **dict.fromkeys("def", "test"),
}
_SEGMENT = re.compile(r"-\d+-\d+$")


def read(folder: Path) -> Reading:
    """Read the annotated clips; clips of one song share their `recording`."""
    published = Published(folder, CORPUS)
    info_table = published.optional_table("clip_info_final.csv")
    info = {r["clip_id"]: r for r in read_rows(info_table, ("clip_id",), "\t")} if info_table else {}
    tracks = []
    for row in read_rows(published.table("annotations_final.csv"), ("clip_id", "mp3_path"), "\t"):
        clip, listed = row.pop("clip_id"), row.pop("mp3_path")
        path = published.audio(listed)
        if path is None:
            continue
        facts: dict[str, object] = {name: info.get(clip, {}).get(name) or None for name in ("title", "artist", "album")}
        song = _SEGMENT.sub("", listed.rpartition(".")[0])
        given = tuple(tag for tag, value in row.items() if value == "1")
        facts |= {"id": f"magnatagatune/{clip}", "path": path, "split": _SPLITS.get(listed[:1])}
        facts |= {"tags": given, "recording": song, "licence": CORPUS.licence}
        tracks.append(Track.model_validate(facts))
    return Reading(tracks, published.problems())
