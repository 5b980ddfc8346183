"""What a query needs and is not known yet is found out: genre, mood, tempo, key, chords; vectors of files outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mirclr.classify.predict import predict_missing
from mirclr.errors import AudioError, LibraryError, UnreadableAudio, UnusableAudio
from mirclr.library import NO_VECTOR, ExcerptEmbeddings, LibraryTrack, is_usable, part_leading_out, shown
from mirclr.recommend import Seed, asks_for_guesses
from mirclr.recommend.words import command
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.audio import Excerpts
    from mirclr.library import LibraryStore
    from mirclr.models.encoding import Encoder
    from mirclr.recommend import MetadataFilters, Query

MOST_MEASURED = 500
"""Tracks of which the tempo is found out for a query; of more one line says how."""

Progress = Callable[[str, int], AbstractContextManager[Callable[..., object]]]


def make_ready(
    library: LibraryStore, ids: np.ndarray, filters: MetadataFilters, query: Query, progress: Progress | None
) -> list[str]:
    """Find out and store what a query asks of tracks; see `mirclr.Library.prepare`.

    Parameters
    ----------
    library : LibraryStore
        Open for writing.
    ids : (n,) int64
        Its tracks.
    filters : MetadataFilters
        Of it.
    query : Query
        What is to be asked.
    progress : callable, optional
        As of `mirclr.Library.prepare`.

    Returns
    -------
    list of str
        For people: what was found out, and what is left to be.
    """
    lines = _guess(library) if asks_for_guesses(query, library.blocks()) else []
    if not query.like_by_sound:  # the songs named are to be known too, whatever passes
        lines += _measure(library, ids.tolist(), library.with_aspects(), "beats and chords", progress)
    elif query.bpm is not None or query.key is not None:
        mask = filters.passing(query, but=("bpm", "key"))
        some = (ids if mask is None else ids[mask[ids]]).tolist()
        lines += _measure(library, some, library.descriptions(some), "tempo and key", progress)
    return lines


def _guess(library: LibraryStore) -> list[str]:
    try:
        n = predict_missing(library)
    except LibraryError:  # no heads for its encoder, or nothing in it: tags must do
        return []
    return [f"guessed genre and mood of {counted(n, 'song')} by their sound"] if n else []


def _measure(
    library: LibraryStore, ids: list[int], known: Collection[int], what: str, progress: Progress | None
) -> list[str]:
    """Describe those tracks that are not known, for the sake of what is asked."""
    from mirclr.ingest.description import describe_tracks

    failed = 0
    held = library.tracks([i for i in ids if i not in known])
    tracks, _ = part_leading_out(track for track in held if track.file.is_file())
    if not tracks:
        return []
    if len(tracks) > MOST_MEASURED:
        how = command(library, "describe")
        return [f"{what} of {counted(len(tracks), 'song')} are not known yet; to find them out: {how}"]
    shown_as = progress(f"Finding {what}", len(tracks)) if progress else nullcontext(lambda: None)
    with shown_as as advance, closing(describe_tracks(library, tracks)) as results:
        for _, found in results:
            failed += isinstance(found, str)
            advance()
    some = f", but not of {counted(failed, 'song')} that cannot be read" if failed else ""
    return [f"found {what} of {counted(len(tracks) - failed, 'song')}{some}"]


def embed_seeds(files: Sequence[Path], encoder: Encoder, *, aspects: bool = False) -> list[Seed | AudioError]:
    """Embed files that a library does not hold, and make seeds of them, with harmony and rhythm where these are asked
    for; of what cannot be decoded the error instead.
    """
    from mirclr.audio.decoding import decode_files

    decoded = decode_files(files, count=encoder.excerpts, seconds=encoder.seconds, rate=encoder.rate)
    return [
        UnreadableAudio(one.error or f"{one.file}: cannot be decoded")
        if one.excerpts is None
        else _seed_of(one.file, one.excerpts, encoder, aspects)
        for one in decoded
    ]


def _seed_of(path: Path, excerpts: Excerpts, encoder: Encoder, aspects: bool) -> Seed | AudioError:
    from mirclr.ingest.description import find_aspects
    from mirclr.tags import read_tags

    tags, file = read_tags(path), path.absolute()
    track = LibraryTrack(
        0,  # of no track of the library
        str(file.parent),
        file.name,
        excerpts.duration_s,
        tags.title,
        tags.artist,
        tags.album,
        tags.album_artist,
        tags.genre,
        tags.year,
        excerpts.digest,
        compilation=tags.compilation,
        track_number=tags.track_number,
        disc_number=tags.disc_number,
    )
    embedded = encoder.embed_excerpts(encoder.levelled(excerpts.waveforms))
    vector = encoder.pool(embedded)
    if not is_usable(vector):
        return UnusableAudio(f"{path}: {NO_VECTOR}")
    return Seed(
        shown(track.label),
        encoder.stamp.compared(vector),
        track,
        excerpts=ExcerptEmbeddings.of(excerpts.starts, embedded),
        aspects=find_aspects(path) if aspects else None,
    )
