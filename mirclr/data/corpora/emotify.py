"""Emotify: 400 clips of a minute in four genres, with the emotions that listeners felt. For measuring only.

Layout: ``<genre>/<n>.mp3`` (any format) and a table: either ``labels.csv`` (file, genre, artist, album,
title and a fraction of raters per emotion, ``mood_…``) or ``data.csv`` as published (one line a rating: track
id, genre, …; the tracks of each genre are numbered on, a hundred a genre).

Shares of raters are no yes-or-no moods, so `Track.moods` stays empty; `mirclr evaluate` takes them from
labels.csv.
"""

from collections.abc import Iterator
from pathlib import Path

from mirclr.data.corpora.description import Corpus, Reading
from mirclr.data.corpora.published import Published, read_rows
from mirclr.data.manifest import Track
from mirclr.errors import CorpusError

CORPUS = Corpus(
    name="emotify",
    title="Emotify",
    licence="for research, with citation; audio CC BY-NC-SA (Magnatune)",
    obtained="folder",
    citation=(
        "A. Aljanaki, F. Wiering, R. C. Veltkamp: Studying emotion induced by music through a crowdsourcing "
        "game, Information Processing and Management 52(1), 2016."
    ),
    homepage="http://www2.projects.science.uu.nl/memotion/emotifydata/",
    measuring_only=True,
)


def read(folder: Path) -> Reading:
    """Read the tracks, every one into the split ``test``, so that nothing trains on them."""
    published = Published(folder, CORPUS)
    tracks = []
    for row in _rows(published):
        path = published.audio(row["file"])
        if path is None:
            continue
        facts: dict[str, object] = {name: row.get(name) or None for name in ("title", "artist", "album", "genre")}
        name = row["file"].rpartition(".")[0]
        facts |= {"id": f"emotify/{name}", "path": path, "split": "test", "licence": CORPUS.licence}
        tracks.append(Track.model_validate(facts))
    return Reading(tracks, published.problems())


def _rows(published: Published) -> Iterator[dict[str, str]]:
    labels = published.optional_table("labels.csv")
    if labels is not None:
        yield from read_rows(labels, ("file", "genre", "artist", "album", "title"))
        return
    table = published.table("data.csv")
    seen = set()
    for row in read_rows(table, ("track id", "genre")):
        track, genre = row["track id"], row["genre"].lower()
        if not track.isdigit():
            raise CorpusError(f"{table}: track id {track!r}; expected a number")
        if track not in seen:
            seen.add(track)
            yield {"file": f"{genre}/{(int(track) - 1) % 100 + 1}.mp3", "genre": genre}
