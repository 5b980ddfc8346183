"""Songs, albums, artists and lists as the values of answers."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from mirclr.library import LibraryTrack
from mirclr.library.discography import NO_ALBUM, Album, Artist, genres_in
from mirclr.names import search_words
from mirclr.recommend.filters import likely_labels
from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.protocol import Values, moment
from mirclr.terminal import shown

_TYPES = {  # what players know these suffixes as
    **dict.fromkeys(("mp3", "mp2"), "audio/mpeg"),
    **dict.fromkeys(("ogg", "oga", "spx"), "audio/ogg"),
    **dict.fromkeys(("m4a", "m4b", "m4r", "mp4", "mov"), "audio/mp4"),
    **dict.fromkeys(("aif", "aiff", "aifc"), "audio/x-aiff"),
    **dict.fromkeys(("wav", "wave", "rf64", "bwf", "w64"), "audio/x-wav"),
    **dict.fromkeys(("mka",), "audio/x-matroska"),
    **dict.fromkeys(("mpc", "mpp", "mp+"), "audio/x-musepack"),
    "aac": "audio/aac",
    "ape": "audio/x-monkeys-audio",
    "flac": "audio/flac",
    "opus": "audio/ogg",
    "tta": "audio/x-tta",
    "webm": "audio/webm",
    "wma": "audio/x-ms-wma",
    "wv": "audio/x-wavpack",
}


_PLAYED = frozenset(("aac", "flac", "m4a", "m4b", "mp3", "mp4", "oga", "ogg", "opus", "wav", "webm"))
"""Suffixes of files that are sent as they are; of others, and of parts of files, another form is made."""


def songs(asked: Asked, tracks: Sequence[LibraryTrack]) -> list[Values]:
    """Tracks as songs of an answer."""
    ids = list(dict.fromkeys(track.id for track in tracks))
    facts = asked.library.file_facts(ids)
    tempos = asked.library.descriptions(ids)
    moods = likely_labels(asked.library, "mood", ids)
    return [
        _song(asked, track, *facts.get(track.id, (0, 0.0)))
        | {
            "bpm": round(tempos[track.id].tempo_bpm or 0) if track.id in tempos else 0,
            "moods": [shown(mood) for mood in moods.get(track.id, ())],
        }
        for track in tracks
    ]


def _song(asked: Asked, track: LibraryTrack, size: int, since_s: float) -> Values:
    album, artists = asked.discography.album_of.get(track.id), asked.discography.artists_of.get(track.id, ())
    suffix = track.file.suffix.lstrip(".").lower()
    title = shown(track.title or PurePosixPath(track.path).stem)
    genres = [shown(genre) for genre in genres_in(track.genre)]
    values: Values = {
        "id": f"tr-{track.id}",
        "isDir": False,
        "title": title,
        "duration": round(track.duration_s),
        "path": shown(track.path),
        "suffix": shown(suffix),
        "contentType": _TYPES.get(suffix, "application/octet-stream"),
        "coverArt": f"tr-{track.id}",
        "created": moment(since_s),
        "type": "music",
        "mediaType": "song",
        "isVideo": False,
        "sortName": search_words(title),
        "genres": [{"name": genre} for genre in genres],
    }
    if genres:
        values["genre"] = genres[0]
    if track.year:
        values["year"] = track.year
    if track.track_number:
        values["track"] = track.track_number
    if track.disc_number:
        values["discNumber"] = track.disc_number
    if track.span or suffix not in _PLAYED:
        values |= {"transcodedContentType": _TYPES["mp3"], "transcodedSuffix": "mp3"}
    if track.span is None:  # of a part of a file its bytes are not known
        values |= {"size": size, "bitRate": round(size / 125 / max(track.duration_s, 1.0))}
    return values | _who(asked, track, album, artists) | _listened(asked, [track.id], asked.taste.starred_s(track.id))


def _who(asked: Asked, track: LibraryTrack, album: Album | None, artists: Sequence[Artist]) -> Values:
    """Whose song it is, and on which album."""
    display = shown(track.artist or artists[0].name) if track.artist or artists else ""
    values: Values = {"displayArtist": display, "artists": _references(artists)}
    if display:
        values["artist"] = display
    if artists:
        values["artistId"] = f"ar-{artists[0].id}"
    if album:
        own = [asked.discography.artist(key) for key in album.artists]
        values |= {
            "album": shown(album.name),
            "albumId": f"al-{album.id}",
            "parent": f"al-{album.id}",
            "albumArtists": _references(own),
            "displayAlbumArtist": shown(album.artist),
        }
        if album.name != NO_ALBUM:
            values["coverArt"] = f"al-{album.id}"
    return values


def _references(artists: Iterable[Artist]) -> list[Values]:
    return [{"id": f"ar-{artist.id}", "name": shown(artist.name)} for artist in artists]


def _listened(asked: Asked, ids: Iterable[int], starred_s: float | None) -> Values:
    """How often the listener played some tracks, when last, and since when what they are is starred."""
    taste, ids = asked.taste, list(ids)
    values: Values = {"playCount": sum(taste.plays.get(i, 0) for i in ids)}
    if played := max((taste.played_s.get(i, 0.0) for i in ids), default=0.0):
        values["played"] = moment(played)
    if starred_s is not None:
        values["starred"] = moment(starred_s)
    return values


def album(asked: Asked, one: Album) -> Values:
    """An album, without its songs."""
    artists = [asked.discography.artist(key) for key in one.artists]
    genres = [shown(genre) for genre in one.genres]
    values: Values = {
        "id": f"al-{one.id}",
        "name": shown(one.name),
        "artist": shown(one.artist),
        "artistId": f"ar-{artists[0].id}",
        "coverArt": f"al-{one.id}",
        "songCount": len(one.tracks),
        "duration": round(one.duration_s),
        "created": moment(one.since_s),
        "mediaType": "album",
        "sortName": search_words(shown(one.name)),
        "displayArtist": shown(one.artist),
        "artists": _references(artists),
        "genres": [{"name": genre} for genre in genres],
        "isCompilation": one.compilation,
    }
    if genres:
        values["genre"] = genres[0]
    if one.year:
        values["year"] = one.year
    return values | _listened(asked, one.tracks, asked.taste.stars.get(("album", one.key)))


def album_as_folder(asked: Asked, one: Album) -> Values:
    """The same for players that browse by folders."""
    values = album(asked, one)
    more = {"parent": values["artistId"], "isDir": True, "title": values["name"], "album": values["name"]}
    return values | more


def artist(asked: Asked, one: Artist) -> Values:
    """An artist, without the albums."""
    values: Values = {
        "id": f"ar-{one.id}",
        "name": shown(one.name),
        "coverArt": f"ar-{one.id}",
        "albumCount": len(one.albums),
        "sortName": shown(one.key),
    }
    if (starred := asked.taste.stars.get(("artist", one.key))) is not None:
        values["starred"] = moment(starred)
    return values


def artist_as_folder(asked: Asked, one: Artist) -> Values:
    """The same for players that browse by folders."""
    values = artist(asked, one)
    return values | {"isDir": True, "title": values["name"]}


def indexes(asked: Asked, artists: Iterable[Artist]) -> list[Values]:
    """Artists under the letters by which they are sorted; what begins with none comes first."""
    found: dict[str, list[Values]] = {}
    for one in artists:
        letter = one.key[:1].upper()
        found.setdefault(letter if letter.isalpha() else "#", []).append(artist(asked, one))
    return [{"name": letter, "artist": found[letter]} for letter in sorted(found)]
