"""Makes a library of schema 4 with what people keep in one, and what is answered from it: run once, by a239f4f.

    git worktree add ../before a239f4f && cd ../before && python ../mirclr/tests/golden/make_of_schema_4.py

The library's root is /music and its vectors are drawn, in groups, but for one file of a sine, whose tags are written:
``tagged.flac`` is what became of it, the journal lies beside the library. `of_schema_4.json` holds the answers to the
saved queries at the time `NOW_S` (a track's path, similarity, match and the values of its explanation), the listener's
taste, and the files of the playlists.
"""

import gzip
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import mutagen.flac
import numpy as np
import soundfile
from mirclr.playlist import write_playlist
from mirclr.taste import taste_of

from mirclr.index import open_index
from mirclr.library import Description, EncoderStamp, Entry, Failure, Library, Listen, Moments
from mirclr.provenance import content_digest, file_digest, size_and_time
from mirclr.recommend import Query, recommend
from mirclr.tags import Tags, read_tags

HERE = Path(__file__).resolve().parent
DIM, EXCERPTS = 16, 4
NOW_S = 1_700_000_000.0
GENRES = ("folk", "dub", "jazz", "techno")
KEYS = ("Am", "C", "Em", "F#m")
QUERIES = {
    "near": {"seeds": ["song 03"], "n": 8, "genre": ["folk", "dub"]},
    "evening": {"seeds": ["song 10", "song 21"], "avoid": ["song 30"], "n": 10, "diversity": 0.4, "artist_cap": 3},
    "filtered": {"seeds": ["Artist 2"], "n": 9, "bpm": [80.0, 130.0], "year": [1980.0, None], "versions": True},
    "in key": {"seeds": ["song 05"], "n": 6, "key": "Am,compatible", "exclude": ["artist:Artist 3"], "seed": 7},
    "path": {"seeds": ["song 01"], "to": "song 38", "n": 6},
    "for me": {"profile": "me", "n": 8, "artist_gap": 1, "same_album": True},
}


def entry(root: Path, i: int, rng: np.random.Generator, centres: np.ndarray) -> Entry:
    group_of = i % len(GENRES)
    vector = centres[group_of] + 0.6 * rng.normal(size=DIM)
    excerpts = vector + 0.3 * rng.normal(size=(EXCERPTS, DIM))
    tags = Tags(
        title=f"Song {i:02d}" if i % 11 else f"Song {i - 1:02d} (Live)",
        artist=f"Artist {i % 7}" if i % 11 else f"Artist {(i - 1) % 7}",
        album=f"Album {i // 5}",
        album_artist="Various" if i // 5 == 3 else None,
        genre=GENRES[group_of].title() if i % 3 else None,
        year=1970 + i if i % 4 else None,
        compilation=True if i // 5 == 3 else None,
    )
    return Entry(
        *(str(root), f"disc {i // 5}/{i:02d} é.ogg", 1000 + i, 10**18 + i, f"f{i}", f"a{i if i != 39 else 38}"),
        *(100.0 + 3 * i, tags, vector.astype(np.float32)),
        moments=Moments.of(np.arange(EXCERPTS, dtype=np.float32) * 20, excerpts.astype(np.float32)),
        content_digest=f"c{i}",
        remark="damaged near 1:20" if i == 12 else None,
    )


def fill(library: Library, root: Path) -> None:
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(len(GENRES), DIM))
    library.bind(EncoderStamp("e" * 32, "golden.safetensors", DIM, EXCERPTS, {"audio": {"rate": 16000}}))
    entries = [entry(root, i, rng, centres) for i in range(40)]
    sine = root / "sine.flac"
    state = (*size_and_time(sine), file_digest(sine), "sine", 0.25, read_tags(sine), -centres[0].astype(np.float32))
    entries.append(Entry(str(root), "sine.flac", *state, content_digest=content_digest(sine)))
    library.write(entries=entries, failures=[Failure(str(root), "bad.ogg", 5, 6, f"{root}/bad.ogg: not audio")])
    library.store_descriptions(
        {i: Description(70.0 + 2 * i, KEYS[i % 4], 0.8, -9.0 - i / 10) for i in range(1, 42) if i % 5}
    )
    library.store_duplicates({(2, 6): 0.9, (3, 7): 0.1})
    genres = {i: {GENRES[(i - 1) % 4]: 0.7, GENRES[i % 4]: 0.2} for i in range(1, 42)}
    library.store_probabilities("genre", genres, "h" * 32)
    library.store_probabilities("mood", {i: {"calm": (i % 10) / 10, "dark": 0.4} for i in range(1, 42)}, "h" * 32)
    library.add_blocks(["artist:Artist 6", "track:Song 17"])
    library.add_exclusions(str(root), ["Podcasts", "Audio books/**"])
    heard = [Listen(f"Artist {i % 7}", f"Song {i:02d}", plays=i, last_s=NOW_S - 86_400 * 5 * i) for i in range(1, 16)]
    loved = [Listen("Artist 4", "Song 18", taste=1), Listen("Artist 5", "song 33", "Album 6", taste=1)]
    others = [Listen("Artist 2", "Song 23", plays=1, taste=-1), Listen("Nobody", "Nothing", plays=3)]
    library.store_listens("me", [*heard, *loved, *others], replace=True)
    for name, query in QUERIES.items():
        plain = Query.from_json(query).to_json()
        library.save_playlist(name, {"query": plain, "output": None if name == "near" else f"/music/{name}.m3u8"})


def answers(library: Library) -> dict[str, object]:
    index, found = open_index(library), {}
    for name, saved in library.playlists().items():
        answer = recommend(library, index, Query.from_json(saved["query"]), moments=True, now_s=NOW_S)
        found[name] = [
            [r.track.path, r.similarity, r.match, why.same, why.labels, why.tempo, why.key, why.moments]
            for r, why in ((r, r.explanation) for r in answer.recommendations)
        ]
    return found


def write_tags(path: Path) -> None:
    command = [sys.executable, "-m", "mirclr", "tag", "write", "--library", str(path), "--json"]
    done = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert [Path(change["file"]).name for change in done["changes"]] == ["sine.flac"], done


def move_to_music(path: Path, root: Path) -> None:
    """Call the root /music, whatever folder this was made in."""
    db = sqlite3.connect(path)
    for table in ("track", "failure", "exclusion"):
        db.execute(f"UPDATE {table} SET root = ?", (b"/music",))
    db.execute("UPDATE failure SET reason = '/music/bad.ogg: not audio'")
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def make(folder: Path) -> None:
    root, path = folder / "music", folder / "library_v4.db"
    root.mkdir()
    sine = root / "sine.flac"
    soundfile.write(sine, 0.3 * np.sin(np.arange(2000) / 5), 8000)
    tags = mutagen.flac.FLAC(sine)
    tags.update({"artist": "Nobody", "title": "Sine"})
    tags.save()
    with Library.open(path, create=True) as library:
        fill(library, root)
        taste = taste_of(library, library.listens("me"), now_s=NOW_S)
        made = {
            "answers": answers(library),
            "taste": {"weights": np.round(taste.weights.astype(float), 5).tolist(), "heard": sorted(taste.heard)},
            "untagged": hashlib.sha256(sine.read_bytes()).hexdigest(),
        }
        listed = [track for track in library.tracks() if track.id % 6 == 0]
        for suffix in ("m3u8", "xspf", "jspf"):
            write_playlist(root / f"list.{suffix}", listed, title="Évening")
            shutil.copy(root / f"list.{suffix}", HERE / f"playlist.{suffix}")
        made["listed"] = [track.path for track in listed]
    write_tags(path)
    shutil.copy(sine, HERE / "tagged.flac")
    journal = (
        path.with_name(f"{path.name}.tags.jsonl").read_text("ascii").replace(json.dumps(str(root))[1:-1], "/music")
    )
    (HERE / "library_v4.db.tags.jsonl").write_text(journal, "ascii")
    move_to_music(path, root)
    (HERE / "library_v4.db.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    (HERE / "of_schema_4.json").write_text(json.dumps(made, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_in:
        make(Path(made_in).resolve())
