"""What services write of a listen, as JSON objects.

ListenBrainz (listens, loves and hates), Spotify (both layouts, and the library), Last.fm's API and lastfmstats.com,
Maloja, Pano Scrobbler, YouTube Music. They are known by their keys, record by record, so that a list of any of
them is read, whoever wrote it and whatever it is wrapped in.
"""

from collections.abc import Iterator
from typing import Any

from mirclr.library import Listen
from mirclr.recommend.history.sources import Problems, Values, believed, name

_HEARD_MS = 30_000  # what was left earlier was skipped, as services count plays
_DEPTH = 3  # of lists and objects around records
_ARTIST = ("artistName", "master_metadata_album_artist_name", "artist_name", "artists", "artist", "Artist")
_TITLE = ("trackName", "master_metadata_track_name", "track_name", "title", "name", "track", "song", "Track")
_ALBUM = ("albumName", "master_metadata_album_album_name", "release_name", "album", "release", "Album")
_TIME = ("ts", "endTime", "timeMs", "listened_at", "played_at", "time", "timestamp", "date", "uts", "playedAt")
_PLAYED_MS = ("ms_played", "msPlayed")
_AROUND = ("payload", "recenttracks", "lovedtracks", "track", "tracks", "listens", "scrobbles", "items", "feedback")
_TOPIC = " - Topic"  # after the name of an artist on YouTube


def listens_of(records: Values, problems: Problems) -> Iterator[Listen]:
    """Listens; then loves and hates in the order in which they were given, which name a recording by its id alone."""
    names: dict[str, tuple[str, str]] = {}
    feedback: list[tuple[float, str, list[str], int]] = []
    for where, value in records:
        for record in _flat(value):
            if not isinstance(record, dict):
                problems.add(where, "not a listen: expected a JSON object")
            elif "track_metadata" in record or "score" in record or "listened_at" in record:
                problems.kind = problems.kind or "ListenBrainz"
                yield from _listenbrainz(record, where, problems, names, feedback)
            else:
                yield from _listen(record, where, problems)
    for _, where, ids, score in sorted(feedback, key=lambda s: s[0]):
        found = next((names[i] for i in ids if i in names), None)
        if found is None:
            problems.add(where, "loves or hates a recording that no listen names")
        else:
            problems.read += 1
            yield Listen(*found, taste=score)


def _flat(value: Any, depth: int = _DEPTH) -> Iterator[Any]:
    """The records in a value: itself, or those of lists and wrappers, such as pages of an API."""
    if isinstance(value, list) and value and depth:
        for one in value:
            yield from _flat(one, depth - 1)
    elif isinstance(value, dict) and depth and not _named(value)[1] and "track_metadata" not in value:
        inner = next((value[key] for key in _AROUND if isinstance(value.get(key), list | dict)), None)
        yield from _flat(inner, depth - 1) if inner else (value,)
    else:
        yield value


# ListenBrainz


def _listenbrainz(
    record: dict[str, Any],
    where: str,
    problems: Problems,
    names: dict[str, tuple[str, str]],
    feedback: list[tuple[float, str, list[str], int]],
) -> Iterator[Listen]:
    data = _dict(record, "track_metadata")
    artist, title = name(data.get("artist_name")), name(data.get("track_name"))
    ids = [
        i
        for part in (record, data, _dict(data, "mbid_mapping"), _dict(data, "additional_info"))
        for key in ("recording_msid", "recording_mbid")
        if isinstance(i := part.get(key), str) and len(i) <= 64
    ]
    if artist and title:
        names.update(dict.fromkeys(ids, (artist, title)))
    if "score" in record:
        score = record["score"]
        if isinstance(score, bool) or score not in (-1, 0, 1):
            problems.add(where, f"its score is {str(score)[:40]}; expected 1, 0 or -1")
        elif artist and title and not ids:
            feedback.append((_number(record.get("created")), where, [f"{artist}\0{title}"], int(score)))
            names[f"{artist}\0{title}"] = (artist, title)
        elif score:
            feedback.append((_number(record.get("created")), where, ids, int(score)))
    elif not (artist and title):
        problems.add(where, "names no artist and title")
    else:
        problems.read += 1
        last_s = believed(_number(record.get("listened_at")), where, problems)
        yield Listen(artist, title, name(data.get("release_name")), plays=1, last_s=last_s)


def _dict(of: dict[str, Any], key: str) -> dict[str, Any]:
    value = of.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    """A number of JSON; 0 where it is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


# the others


def _listen(record: dict[str, Any], where: str, problems: Problems) -> Iterator[Listen]:
    artist, title, album = _named(record)
    if not (artist and title):
        if not _is_of_no_music(record):
            problems.add(where, "names no artist and title")
        return
    problems.kind = problems.kind or _kind(record)
    problems.read += 1
    played_ms = next((record[key] for key in _PLAYED_MS if key in record), _HEARD_MS)
    if _number(played_ms) < _HEARD_MS or _dict(record, "@attr").get("nowplaying"):
        return
    if record.get("event") in ("love", "unlove", "hate"):  # Pano Scrobbler
        yield Listen(artist, title, album, taste={"love": 1, "hate": -1}.get(record["event"], 0))
        return
    at = next((record[key] for key in _TIME if record.get(key) is not None), None)
    if isinstance(at, dict):
        at = at.get("uts") or at.get("#text")
    if at is None and "uri" in record:  # the library of Spotify: what is saved there is liked
        yield Listen(artist, title, album, taste=1)
        return
    last_s = None if at is None else believed(at, where, problems)
    yield Listen(artist, title, album, plays=1, last_s=last_s, taste=int(str(record.get("loved", "0")) == "1"))


def _named(record: dict[str, Any]) -> tuple[str, str, str]:
    """Artist, title and album of a record."""
    if record.get("header") in ("YouTube Music", "YouTube"):
        return _on_youtube(record)
    inner = record.get("track")
    of = {**record, **inner} if isinstance(inner, dict) else record
    if isinstance(inner, list):  # a page of records
        of = {key: value for key, value in record.items() if key != "track"}
    found = (next((text for key in keys if (text := _text(of.get(key)))), "") for keys in (_ARTIST, _TITLE, _ALBUM))
    artist, title, album = found
    return artist, title, album


def _text(value: Any) -> str:
    """A name, of an object that has one, or of several with semicolons between."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("#text", "name", "albumtitle", "title") if value.get(key)), "")
    if isinstance(value, list):
        value = "; ".join(filter(None, (_text(one) if not isinstance(one, list) else "" for one in value[:20])))
    return name(value)


def _on_youtube(record: dict[str, Any]) -> tuple[str, str, str]:
    by = record.get("subtitles")
    first = by[0] if isinstance(by, list) and by and isinstance(by[0], dict) else {}
    artist, title = name(first.get("name")), name(record.get("title"))
    is_music = record["header"] == "YouTube Music" or artist.endswith(_TOPIC)
    return (artist.removesuffix(_TOPIC), title.removeprefix("Watched "), "") if is_music else ("", "", "")


def _is_of_no_music(record: dict[str, Any]) -> bool:
    """Whether a record is a podcast's, or a film's: that is no fault."""
    return "master_metadata_track_name" in record or record.get("header") == "YouTube"


def _kind(record: dict[str, Any]) -> str:
    inner = record.get("track")
    if "header" in record:
        return "YouTube Music"
    if any(key in record for key in (*_PLAYED_MS, "endTime")) or str(record.get("uri", "")).startswith("spotify:"):
        return "Spotify"
    if "timeMs" in record:
        return "Pano Scrobbler"
    if "artists" in record or (isinstance(inner, dict) and "artists" in inner):
        return "Maloja"
    return "Last.fm"
