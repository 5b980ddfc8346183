"""Small texts that other programs write and people edit: playlists, histories, cue sheets, recipes, manifests."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

_T = 1_672_654_260
_LISTEN = {
    "listened_at": _T,
    "track_metadata": {
        "artist_name": "Ärtist",
        "track_name": "Song",
        "release_name": "Album",
        "additional_info": {"duration_ms": 200_000},
        "mbid_mapping": {"recording_mbid": "b1"},
    },
    "recording_msid": "m1",
}
_FEEDBACK = {"recording_msid": "m1", "recording_mbid": None, "score": 1, "created": _T}
_STREAM = {
    "ts": "2023-01-02T10:11:00Z",
    "ms_played": 200_000,
    "master_metadata_track_name": "Song",
    "master_metadata_album_artist_name": "Ärtist",
    "master_metadata_album_album_name": "Album",
    "spotify_track_uri": "spotify:track:1",
    "skipped": False,
}
_PLAY = {"endTime": "2023-01-02 10:11", "artistName": "Ärtist", "trackName": "Song", "msPlayed": 200_000}
_MALOJA = {"scrobbles": [{"time": _T, "track": {"artists": ["Ärtist"], "title": "Song"}, "duration": 200}]}
_PANO = {"scrobbles": [{"artist": "Ärtist", "track": "Song", "album": "Album", "time": _T * 1000, "event": "scrobble"}]}


def make_playlists(folder: Path) -> None:
    """Playlists in the words of the programs that write them."""
    m3u = "#EXTM3U\n#PLAYLIST:one\n#EXTINF:123,Anna – Dréam\nmusic/a b.mp3\n/music/c.flac\n\nfile:///music/d%20e.ogg\n"
    windows = m3u.replace("/", "\\").replace("music", "D:\\music")
    pls = (
        "[playlist]\nFile1=/music/a.mp3\nTitle1=Dréam\nLength1=123\nFile2=http://radio.example/live\nLength2=-1\n"
        "NumberOfEntries=2\nVersion=2\n"
    )
    xspf = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<playlist version="1" xmlns="http://xspf.org/ns/0/"><title>one</title>\n'
        "<trackList><track><location>file:///music/a%20b.mp3</location><creator>Anna</creator><title>Dréam</title>"
        "<duration>123000</duration></track><track><location>c.flac</location></track></trackList></playlist>\n"
    )
    jspf = {
        "playlist": {"title": "one", "track": [{"location": ["file:///music/a.mp3"], "creator": "Anna", "title": "S"}]}
    }
    _write(
        folder,
        {
            "vlc.m3u8": m3u.encode(),
            "itunes.m3u": m3u.replace("\n", "\r").encode("latin-1", "replace"),
            "winamp.m3u": windows.replace("\n", "\r\n").encode("cp1252", "replace"),
            "foobar.m3u": m3u.encode("utf-16"),
            "winamp.pls": pls.encode(),
            "vlc.xspf": xspf.encode(),
            "listenbrainz.jspf": json.dumps(jspf).encode(),
        },
    )


def make_histories(folder: Path) -> None:
    """What listening services give out."""
    row = ["Ärtist", "Album", "Song", "02 Jan 2023 10:11"]
    lines = json.dumps(_LISTEN) + "\n" + json.dumps(_FEEDBACK) + "\n"
    rockbox = "#AUDIOSCROBBLER/1.1\n#TZ/UTC\n#CLIENT/Rockbox\nÄrtist\tAlbum\tSong\t1\t200\tL\t1672654260\t\n"
    likes = "# mine\n+ Ärtist - Song\n- Other - No\n/music/a.mp3\nÄrtist – Third\n"
    _write(
        folder,
        {
            "listenbrainz.jsonl": lines.encode(),
            "listenbrainz.json": json.dumps([_LISTEN, _LISTEN], indent=1, ensure_ascii=False).encode(),
            "lastfm.csv": (",".join(row) + "\n").encode() * 3,
            "lastfm-uts.csv": f'uts,utc_time,artist,album,track\n"{_T}","02 Jan 2023, 10:11","A","B","C"\n'.encode(),
            "lastfm-other.csv": ("Artist;Album;Name;Date#anna\nA;B;C;" + str(_T * 1000) + "\n").encode(),
            "spotify.json": json.dumps([_STREAM, _STREAM]).encode(),
            "spotify-account.json": json.dumps([_PLAY]).encode(),
            "maloja.json": json.dumps(_MALOJA).encode(),
            "pano.json": json.dumps(_PANO).encode(),
            ".scrobbler.log": rockbox.encode(),
            "likes.txt": likes.encode(),
        },
    )
    _zip(folder / "listenbrainz.zip", {"listens/2023/1.jsonl": lines, "feedback.jsonl": lines, "user.json": "{}"})
    _zip(
        folder / "spotify.zip",
        {
            "Spotify Extended Streaming History/Streaming_History_Audio_2023_1.json": json.dumps([_STREAM]),
            "MyData/StreamingHistory0.json": json.dumps([_PLAY]),
        },
    )


def make_cues(folder: Path) -> None:
    """Cue sheets."""
    cue = (
        'REM GENRE Rock\nREM DATE 1999\nPERFORMER "Anna"\nTITLE "Öne"\nFILE "album.flac" WAVE\n'
        '  TRACK 01 AUDIO\n    TITLE "First"\n    PERFORMER "Anna"\n    ISRC ABC123\n    INDEX 01 00:00:00\n'
        '  TRACK 02 AUDIO\n    TITLE "Second"\n    INDEX 00 03:10:10\n    INDEX 01 03:12:40\n'
    )
    several = cue + 'FILE "b.mp3" MP3\n  TRACK 03 AUDIO\n    TITLE "Third"\n    INDEX 01 00:00:00\n'
    _write(
        folder,
        {
            "eac.cue": cue.replace("\n", "\r\n").encode("cp1252"),
            "utf8.cue": several.encode("utf-8-sig"),
            "utf16.cue": cue.encode("utf-16"),
        },
    )


def make_recipes(folder: Path) -> None:
    """Recipes: those that are shipped, and one with aliases."""
    from mirclr.provenance import shipped_dir

    recipes = {f"{p.parent.name}.yaml": p.read_bytes() for p in sorted(shipped_dir("recipes").glob("*/recipe.yaml"))}
    alias = b"name: a\ndata: &d {train: t.jsonl}\nmel: {bands: 24}\nencoder: &e {widths: [4], blocks: [1]}\n"
    _write(folder, recipes | {"alias.yaml": alias})


def make_manifests(folder: Path) -> None:
    """Manifests of tracks."""
    track = {"id": "a", "path": "x/a.ogg", "duration_s": 9.5, "artist": "Ärtist", "title": "S", "sha256": "0" * 64}
    lines = [
        track,
        track | {"id": "b", "path": "b.ogg", "split": "test", "moods": ["calm"]},
        {"id": "c", "path": "c.ogg"},
    ]
    _write(folder, {"tracks.jsonl": "".join(json.dumps(line) + "\n" for line in lines).encode()})


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _zip(path: Path, members: Mapping[str, str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
