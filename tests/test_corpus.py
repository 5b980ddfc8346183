import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import mirclr.data.corpora
from mirclr.data.corpora import (
    fetch_corpus,
    find_manifest,
    known_corpora,
    package_count,
    read_corpus,
)
from mirclr.data.manifest import Track, check_tracks, read_manifest, write_manifest
from mirclr.errors import CorpusError
from mirclr.provenance import sha256_of, shipped_dir
from tests.commands import invoke

posix = pytest.mark.skipif(sys.platform == "win32", reason="the imitation of apt is a shell script")


def put(path: Path, content: bytes | str = b"sound") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# What is published with mirclr


def test_every_corpus_has_a_card_with_its_facts() -> None:
    for corpus in known_corpora():
        card = (shipped_dir("data_manifests") / corpus.name / "README.md").read_text("utf-8")
        assert card.startswith(f"# {corpus.name}\n")
        for part in (
            "| licence |",
            "| cite |",
            "| obtain |",
            "| may be used for |",
            "## Splits",
            "## Known faults",
        ):
            assert part in card, (corpus.name, part)
        assert f"corpus {'fetch' if corpus.obtained == 'apt' else 'read'} {corpus.name}" in card
        assert ("measuring only" in card) == corpus.measuring_only


def test_the_manifests_of_debian_games_are_in_order() -> None:
    tracks = read_manifest(shipped_dir("data_manifests") / "debian-games" / "tracks.jsonl")
    demo = read_manifest(shipped_dir("data_manifests") / "debian-games" / "demo.jsonl")
    assert check_tracks(tracks) == []
    assert len(tracks) == 211
    assert len({t.path for t in tracks}) == len(tracks)
    assert {t.id for t in demo} <= {t.id for t in tracks}
    assert [t for t in tracks if t.id in {d.id for d in demo}] == demo
    for track in tracks:
        assert track.licence
        assert track.source is not None
        assert track.path.startswith(track.source["package"] + "/")
        is_module = track.source["form"] == "tracker"
        assert len(track.source["sha256"] if is_module else track.sha256 or "") == 64
    assert all(t.source["form"] == "audio" for t in demo if t.source)
    held_out = [t for t in tracks if t.split == "valid"]
    assert 0.12 < len(held_out) / len(tracks) < 0.18
    assert any(t.split == "valid" for t in demo)


def test_the_manifest_of_debian_more_is_in_order_and_shares_no_track_with_debian_games() -> None:
    folder = shipped_dir("data_manifests")
    tracks = read_manifest(folder / "debian-more" / "tracks.jsonl")
    assert check_tracks(tracks) == []
    assert len({t.path.lower() for t in tracks}) == len(tracks)
    hours, digests = {"music": 0.0, "voice": 0.0}, {}
    for track in tracks:
        assert track.licence
        assert not any(word in track.licence for word in ("NC", "ND", "Sampling"))
        assert track.source is not None
        assert track.path.startswith(track.source["package"] + "/")
        digests[track.id] = track.source["sha256"] if track.source["form"] == "tracker" else track.sha256
        assert len(digests[track.id] or "") == 64
        assert track.duration_s is not None
        assert track.duration_s >= {"music": 12, "voice": 1.5}[track.source["kind"]]
        hours[track.source["kind"]] += track.duration_s / 3600
    assert len(set(digests.values())) == len(tracks)
    games = read_manifest(folder / "debian-games" / "tracks.jsonl")
    assert not set(digests.values()) & {t.sha256 or (t.source or {})["sha256"] for t in games}
    assert hours["music"] > 20
    assert 0.12 < sum(t.split == "valid" for t in tracks) / len(tracks) < 0.18
    for package in {t.album for t in tracks if t.artist is None}:
        assert len({t.split for t in tracks if t.album == package}) == 1, package
    sides: dict[str, set[str | None]] = {}
    for track in (*tracks, *games):
        if track.artist:
            sides.setdefault(track.artist, set()).add(track.split)
    assert all(len(splits) == 1 for splits in sides.values())


def test_the_card_of_debian_more_names_every_piece_of_music_and_counts_the_voices() -> None:
    folder = shipped_dir("data_manifests") / "debian-more"
    card = (folder / "README.md").read_text("utf-8")
    tracks = read_manifest(folder / "tracks.jsonl")

    def rows(heading: str) -> list[str]:
        section = card.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        return [line for line in section.splitlines() if line.startswith("|")][2:]

    assert rows("Tracks") == [
        f"| {t.id} | {t.title or '–'} | {t.artist or 'not stated'} | {t.licence} "
        f"| {(t.source or {})['licence_basis']} | {t.split} |"
        for t in tracks
        if (t.source or {})["kind"] == "music"
    ]
    counted: dict[tuple[str, str], int] = {}
    for track in tracks:
        key = ((track.source or {})["package"], (track.source or {})["kind"])
        counted[key] = counted.get(key, 0) + 1
    listed = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows("Packages")]
    assert {(row[0], row[1]): int(row[2]) for row in listed} == counted


def test_free_music_says_of_each_track_where_it_is_from_and_shares_no_artist_across_splits() -> None:
    folder = shipped_dir("data_manifests")
    tracks = read_manifest(folder / "free-music" / "tracks.jsonl")
    assert check_tracks(tracks) == []
    sides: dict[str, set[str | None]] = {}
    for track in (
        *tracks,
        *(t for n in ("debian-games", "debian-more") for t in read_manifest(folder / n / "tracks.jsonl")),
    ):
        if track.artist:
            sides.setdefault(track.artist, set()).add(track.split)
    assert all(len(splits) == 1 for splits in sides.values())
    for track in tracks:
        source = track.source or {}
        assert track.licence
        assert not any(word in track.licence for word in ("NC", "ND", "Sampling"))
        assert source["repository"].startswith("github.com/")
        assert len(source["commit"]) == 40
        assert source["licence_stated_in"]
        assert track.sha256 or "the sum of" in source["note"], track.id
        assert track.path.startswith(source["repository"].removeprefix("github.com/") + "/")
    card = (folder / "free-music" / "README.md").read_text("utf-8")
    rows = [line for line in card.partition("## Tracks\n")[2].splitlines() if line.startswith("|")][2:]
    assert rows == [
        f"| {t.id} | {t.title} | {t.artist} | {t.licence} | {(t.source or {})['repository']} | {t.split} |"
        for t in tracks
    ]


def test_a_package_with_tracks_of_unknown_artists_is_in_one_split() -> None:
    tracks = read_manifest(shipped_dir("data_manifests") / "debian-games" / "tracks.jsonl")
    for package in {t.album for t in tracks if t.artist is None}:
        assert len({t.split for t in tracks if t.album == package}) == 1, package


def test_the_card_names_every_track_as_the_manifest_does() -> None:
    folder = shipped_dir("data_manifests") / "debian-games"
    card = (folder / "README.md").read_text("utf-8")
    listed = [line for line in card.partition("## Tracks\n")[2].splitlines() if line.startswith("|")][2:]
    expected = [
        f"| {t.id} | {t.title or '–'} | {t.artist or 'not stated'} | {t.licence} "
        f"| {(t.source or {})['licence_basis']} | {t.split} |"
        for t in read_manifest(folder / "tracks.jsonl")
    ]
    assert listed == expected


# Fetching, from an imitation of apt


class Apt:
    """A mirror of packages that are folders, and the programs that read it."""

    def __init__(self, place: Path) -> None:
        self.mirror, self.bin, self.log = place / "mirror", place / "bin", place / "log"
        self.mirror.mkdir()
        self.bin.mkdir()
        self.log.touch()
        copy = shutil.which("cp")
        self.program("apt-cache", f'for last; do :; done; [ -d "{self.mirror}/$last" ]')
        self.program(
            "apt-get",
            f'for last; do :; done; echo "$last" >> "{self.log}"\n'
            '[ "$last" = update ] && exit 0\n'
            f'if [ -d "{self.mirror}/$last" ]; then echo "{self.mirror}/$last" > package.deb\n'
            'else echo "E: Version not found" >&2; exit 100; fi',
        )
        self.program("dpkg-deb", f'read -r from < "$2"; {copy} -R "$from/." "$3"')

    def program(self, name: str, script: str) -> None:
        put(self.bin / name, f"#!/bin/sh\n{script}\n").chmod(0o755)

    def downloads(self) -> list[str]:
        return self.log.read_text().split()

    def publish(self, package: str, files: dict[str, str], version: str = "1") -> None:
        for asked in (package, f"{package}={version}"):
            shutil.rmtree(self.mirror / asked, ignore_errors=True)
            (self.mirror / asked).mkdir()
            for name, content in files.items():
                put(self.mirror / asked / name, content)


def a_track(package: str, name: str, content: str, form: str = "audio") -> Track:
    digest = hashlib.sha256(content.encode()).hexdigest()
    suffix = "xm" if form == "tracker" else "ogg"
    source = {"package": package, "version": "1", "path": f"usr/{name}.{suffix}", "form": form}
    if form == "tracker":
        return Track(id=f"{package}/{name}", path=f"{package}/{name}.flac", source={**source, "sha256": digest})
    return Track(id=f"{package}/{name}", path=f"{package}/{name}.ogg", sha256=digest, source=source)


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    apt = Apt(tmp_path)
    monkeypatch.setenv("PATH", str(apt.bin))
    monkeypatch.setenv("MIRCLR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(mirclr.data.corpora, "shipped_dir", lambda name: tmp_path / "cards")
    return apt


@pytest.fixture
def publish(tmp_path: Path, apt: Apt) -> Callable[..., None]:
    def publish(*tracks: Track, demo: int = 1) -> None:
        write_manifest(tmp_path / "cards" / "debian-games" / "tracks.jsonl", tracks)
        write_manifest(tmp_path / "cards" / "debian-games" / "demo.jsonl", tracks[:demo])

    return publish


@pytest.fixture
def two(apt: Apt, publish: Callable[..., None]) -> None:
    """Two packages, of two tracks and one."""
    publish(a_track("p", "a", "A"), a_track("p", "b", "B"), a_track("q", "c", "C"))
    apt.publish("p", {"usr/a.ogg": "A", "usr/b.ogg": "B", "usr/other": "x"})
    apt.publish("q", {"usr/c.ogg": "C"})


@posix
def test_a_fetched_corpus_is_found_and_complete(apt: Apt, two: None) -> None:
    with pytest.raises(CorpusError, match="mirclr corpus fetch debian-games"):
        find_manifest("debian-games")
    said: list[tuple[int, str]] = []
    fetched = fetch_corpus("debian-games", None, lambda steps, note: said.append((steps, note)))
    assert (fetched.tracks, fetched.problems, fetched.remarks) == (3, [], [])
    assert sum(steps for steps, _ in said) == package_count("debian-games") == 2
    manifest, root = find_manifest("debian-games")
    assert check_tracks(read_manifest(manifest), root) == []
    assert [t.id for t in read_manifest(find_manifest("debian-games/demo")[0])] == ["p/a"]
    files = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    assert files == {".fetched.json", "tracks.jsonl", "demo.jsonl", "p/a.ogg", "p/b.ogg", "q/c.ogg"}


@posix
def test_a_second_run_downloads_nothing(apt: Apt, two: None) -> None:
    fetch_corpus("debian-games")
    before = apt.downloads()
    assert fetch_corpus("debian-games").tracks == 3
    assert fetch_corpus("debian-games/demo").tracks == 1
    assert apt.downloads() == before == ["p=1", "q=1"]


@posix
def test_what_was_interrupted_goes_on_where_it_stopped(apt: Apt, two: None) -> None:
    def stop(steps: int, note: str) -> None:
        if (steps, note) == (0, "q"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_corpus("debian-games", None, stop)
    with pytest.raises(CorpusError):
        find_manifest("debian-games")
    assert fetch_corpus("debian-games").tracks == 3
    assert apt.downloads() == ["p=1", "q=1"]


@posix
def test_a_lost_or_cut_file_is_fetched_again(apt: Apt, two: None) -> None:
    root = fetch_corpus("debian-games").audio_root
    (root / "p" / "a.ogg").unlink()
    put(root / "q" / "c.ogg", "")
    fetch_corpus("debian-games")
    assert (root / "p" / "a.ogg").read_text() == "A"
    assert (root / "q" / "c.ogg").read_text() == "C"


@posix
def test_a_file_of_another_digest_is_told_and_left_out(apt: Apt, two: None) -> None:
    apt.publish("p", {"usr/a.ogg": "tampered", "usr/b.ogg": "B"})
    fetched = fetch_corpus("debian-games")
    assert [t.id for t in read_manifest(fetched.manifest)] == ["p/b", "q/c"]
    assert len(fetched.problems) == 1
    assert "sha256" in fetched.problems[0]
    assert "usr/a.ogg" in fetched.problems[0]
    assert not (fetched.audio_root / "p" / "a.ogg").exists()


@posix
def test_a_package_that_is_gone_does_not_lose_the_others(apt: Apt, two: None) -> None:
    shutil.rmtree(apt.mirror / "p")
    shutil.rmtree(apt.mirror / "p=1")
    fetched = fetch_corpus("debian-games")
    assert [t.id for t in read_manifest(fetched.manifest)] == ["q/c"]
    assert "package p: E: Version not found" in fetched.problems[0]
    result = invoke(["corpus", "fetch", "debian-games"], standalone_mode=False)
    assert result.return_value == 1
    assert "apt knows none of p" in result.output


@posix
def test_another_version_will_do_if_the_digest_is_right(apt: Apt, two: None) -> None:
    shutil.rmtree(apt.mirror / "q=1")
    assert fetch_corpus("debian-games").problems == []
    assert apt.downloads() == ["p=1", "q=1", "q"]


@posix
def test_a_link_in_a_package_gives_away_no_file(apt: Apt, two: None, tmp_path: Path) -> None:
    secret = put(tmp_path / "secret", "C")
    os.remove(apt.mirror / "q=1" / "usr" / "c.ogg")
    (apt.mirror / "q=1" / "usr" / "c.ogg").symlink_to(secret)
    fetched = fetch_corpus("debian-games")
    assert "link" in fetched.problems[0]
    assert secret.exists()


@posix
def test_without_apt_or_its_lists_the_error_says_what_to_do(apt: Apt, two: None) -> None:
    for name in ("p", "q"):
        shutil.rmtree(apt.mirror / name)
    with pytest.raises(CorpusError, match="sudo apt-get update"):
        fetch_corpus("debian-games")
    (apt.bin / "apt-get").unlink()
    with pytest.raises(CorpusError, match="mirclr demo --music DIR"):
        fetch_corpus("debian-games")


@posix
def test_empty_lists_of_the_system_are_made_up_for_without_root(apt: Apt, two: None) -> None:
    apt.program("apt-cache", 'case "$*" in *Dir::State::lists=*) exit 0;; esac; exit 100')
    fetched = fetch_corpus("debian-games")
    assert not fetched.problems
    assert apt.downloads()[0] == "update"
    assert not (fetched.audio_root / ".apt").exists()


@posix
def test_modules_are_rendered_once_there_is_a_renderer(apt: Apt, publish: Callable[..., None]) -> None:
    publish(a_track("p", "a", "A"), a_track("m", "tune", "module", "tracker"))
    apt.publish("p", {"usr/a.ogg": "A"})
    apt.publish("m", {"usr/tune.xm": "module"})
    fetched = fetch_corpus("debian-games")
    assert (fetched.tracks, fetched.problems) == (1, [])
    assert "apt-get install openmpt123" in fetched.remarks[0]
    assert apt.downloads() == ["p=1"]
    apt.program("openmpt123", 'while [ "$1" != --output ]; do shift; done; printf rendered > "$2"')
    fetched = fetch_corpus("debian-games")
    assert (fetched.tracks, fetched.problems, fetched.remarks) == (2, [], [])
    tune = fetched.audio_root / "m" / "tune.flac"
    assert read_manifest(fetched.manifest)[1].sha256 == sha256_of(tune)
    (apt.bin / "openmpt123").unlink()
    assert fetch_corpus("debian-games").tracks == 2  # what is there stays


def a_zip(member: str, content: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, content)
    return packed.getvalue()


@pytest.fixture
def packed(tmp_path: Path, apt: Apt) -> None:
    """Two tracks of debian-more, one of them in an archive of its package."""
    sources = {"package": "p", "version": "1", "path": "usr/music.pk3", "member": "music/b.ogg", "form": "audio"}
    digest = hashlib.sha256(b"B").hexdigest()
    inner = Track(id="p/b", path="p/b.ogg", sha256=digest, source=sources)
    write_manifest(tmp_path / "cards" / "debian-more" / "tracks.jsonl", [a_track("p", "a", "A"), inner])
    apt.publish("p", {"usr/a.ogg": "A"})


@posix
def test_a_track_in_an_archive_is_taken_out_of_it(apt: Apt, packed: None) -> None:
    put(apt.mirror / "p=1" / "usr" / "music.pk3", a_zip("music/b.ogg", "B"))
    fetched = fetch_corpus("debian-more")
    assert (fetched.tracks, fetched.problems) == (2, [])
    assert (fetched.audio_root / "p" / "b.ogg").read_text() == "B"
    assert fetched.audio_root.name == "debian-more"
    assert apt.downloads() == ["p=1"]


@posix
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (a_zip("music/b.ogg", "tampered"), "music/b.ogg in usr/music.pk3"),
        (a_zip("music/c.ogg", "B"), "cannot be taken out"),
        (b"no archive", "cannot be taken out"),
    ],
)
def test_an_archive_without_the_track_is_told(apt: Apt, packed: None, content: bytes, problem: str) -> None:
    put(apt.mirror / "p=1" / "usr" / "music.pk3", content)
    fetched = fetch_corpus("debian-more")
    assert fetched.tracks == 1
    assert problem in fetched.problems[0]


@posix
def test_a_module_that_cannot_be_rendered_is_told(apt: Apt, publish: Callable[..., None]) -> None:
    publish(a_track("p", "a", "A"), a_track("m", "tune", "module", "tracker"))
    apt.publish("p", {"usr/a.ogg": "A"})
    apt.publish("m", {"usr/tune.xm": "module"})
    apt.program("openmpt123", "echo broken pattern >&2; exit 1")
    fetched = fetch_corpus("debian-games")
    assert fetched.tracks == 1
    assert "broken pattern" in fetched.problems[0]


@pytest.mark.parametrize("name", ["nothing", "debian-games/nothing", "gtzan", "../x"])
def test_what_cannot_be_fetched_is_an_error_that_says_why(name: str) -> None:
    with pytest.raises(CorpusError, match="mirclr corpus read gtzan" if name == "gtzan" else "those known are"):
        fetch_corpus(name)


# Reading what was published


def by_id(folder: Path, name: str) -> dict[str, Track]:
    reading = read_corpus(name, folder)
    assert reading.problems == []
    assert [p for p in check_tracks(reading.tracks, folder) if "artist" not in p] == []
    return {t.id: t for t in reading.tracks}


def gtzan(folder: Path) -> None:
    for split, name in (("train", "blues.00000"), ("valid", "jazz.00001"), ("test", "rock.00002")):
        put(folder / "genres" / name.partition(".")[0] / f"{name}.wav")
        put(folder / "split" / f"{split}_filtered.txt", f"{name.partition('.')[0]}/{name}.wav\n")


def fma_small(folder: Path) -> None:
    rows = [
        ",album,artist,set,set,track,track,track",
        ",title,name,split,subset,genre_top,license,title",
        "track_id,,,,,,,",
        '2,"An, Album",One,training,small,Hip-Hop,CC BY,Food',
        "5,Other,Two,validation,small,Rock,CC0,Drink",
        '20,Third,Three,test,small,Rock,CC BY,"Two\nlines"',
        "30,Big,Four,training,large,,CC BY,Not small",
    ]
    put(folder / "fma_metadata" / "tracks.csv", "\n".join(rows) + "\n")
    for number in ("000002", "000005", "000020"):
        put(folder / "fma_small" / "000" / f"{number}.mp3")


def magnatagatune(folder: Path) -> None:
    paths = [
        "0/one-first-01-song-0-29.mp3",
        "0/one-first-01-song-30-59.mp3",
        "c/two-x-02-y-0-29.mp3",
        "f/z-0-29.mp3",
    ]
    rows = ['"clip_id"\t"guitar"\t"no vocals"\t"mp3_path"']
    info = ["clip_id\ttrack_number\ttitle\tartist\talbum\tmp3_path"]
    for i, path in enumerate(paths):
        put(folder / "mp3" / path)
        rows.append(f'"{i}"\t"{i % 2}"\t"1"\t"{path}"')
        info.append(f"{i}\t1\tTitle {i}\tArtist {path[0]}\tAlbum\t{path}")
    put(folder / "annotations_final.csv", "\n".join(rows))
    put(folder / "clip_info_final.csv", "\n".join(info))


def jamendo(folder: Path) -> None:
    header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"
    tags = {
        "train": "mood/theme---happy\tmood/theme---film",
        "validation": "mood/theme---sad",
        "test": "genre---rock",
    }
    splits = folder / "data" / "splits"
    for number, (split, given) in enumerate(tags.items()):
        ids = f"track_000000{number}\tartist_{number}\talbum_{number}"
        row = f"{ids}\t0{number}/{number}.mp3\t12{number}.5\t{given}\n"
        put(splits / "split-0" / f"autotagging_moodtheme-{split}.tsv", header + row)
        put(folder / "audio" / f"0{number}" / f"{number}{'.low' if number else ''}.mp3")
    put(splits / "split-1" / "autotagging_moodtheme-train.tsv", header)


def emotify(folder: Path) -> None:
    header = "file,genre,artist,album,title,n_raters,mood_sadness\n"
    rows = 'pop/1.opus,pop,A,B,"C, D",50,0.9\nrock/1.opus,rock,E,F,G,20,0.1\n'
    put(folder / "labels.csv", header + rows)
    put(folder / "pop" / "1.opus")
    put(folder / "rock" / "1.opus")


LAYOUTS = {
    "gtzan": gtzan,
    "fma-small": fma_small,
    "magnatagatune": magnatagatune,
    "mtg-jamendo-moodtheme": jamendo,
    "emotify": emotify,
}


def test_every_corpus_that_is_read_has_an_imitation() -> None:
    assert set(LAYOUTS) == {c.name for c in known_corpora() if c.obtained == "folder"}


def test_gtzan(tmp_path: Path) -> None:
    gtzan(tmp_path)
    tracks = by_id(tmp_path, "gtzan")
    assert {t.id: (t.genre, t.split) for t in tracks.values()} == {
        "gtzan/blues.00000": ("blues", "train"),
        "gtzan/jazz.00001": ("jazz", "valid"),
        "gtzan/rock.00002": ("rock", "test"),
    }
    assert tracks["gtzan/blues.00000"].path == "genres/blues/blues.00000.wav"


def test_gtzan_as_au_files(tmp_path: Path) -> None:
    gtzan(tmp_path)
    for wav in list(tmp_path.rglob("*.wav")):
        wav.rename(wav.with_suffix(".au"))
    assert len(by_id(tmp_path, "gtzan")) == 3


def test_fma_small(tmp_path: Path) -> None:
    fma_small(tmp_path)
    tracks = by_id(tmp_path, "fma-small")
    assert [(t.split, t.genre) for t in tracks.values()] == [
        ("train", "Hip-Hop"),
        ("valid", "Rock"),
        ("test", "Rock"),
    ]
    first = tracks["fma/000002"]
    assert (first.path, first.artist, first.album) == ("fma_small/000/000002.mp3", "One", "An, Album")
    assert (first.title, first.licence) == ("Food", "CC BY")


def test_magnatagatune(tmp_path: Path) -> None:
    magnatagatune(tmp_path)
    tracks = by_id(tmp_path, "magnatagatune")
    assert [t.split for t in tracks.values()] == ["train", "train", "valid", "test"]
    assert [t.tags for t in tracks.values()][:2] == [("no vocals",), ("guitar", "no vocals")]
    assert tracks["magnatagatune/0"].recording == tracks["magnatagatune/1"].recording
    assert len({t.recording for t in tracks.values()}) == 3
    assert tracks["magnatagatune/2"].artist == "Artist c"
    (tmp_path / "clip_info_final.csv").unlink()
    assert by_id(tmp_path, "magnatagatune")["magnatagatune/2"].artist is None


def test_jamendo_in_both_editions(tmp_path: Path) -> None:
    jamendo(tmp_path)
    tracks = by_id(tmp_path, "mtg-jamendo-moodtheme")
    assert [t.split for t in tracks.values()] == ["train", "valid", "test"]
    first, second, third = tracks.values()
    assert (first.moods, first.duration_s, first.artist) == (("happy", "film"), 120.5, "artist_0")
    assert second.path == "audio/01/1.low.mp3"
    assert (third.moods, third.tags) == ((), ("genre---rock",))


def test_emotify_is_never_for_training_and_has_no_moods(tmp_path: Path) -> None:
    emotify(tmp_path)
    tracks = by_id(tmp_path, "emotify")
    assert {t.split for t in tracks.values()} == {"test"}
    assert {t.moods for t in tracks.values()} == {()}
    assert tracks["emotify/pop/1"].title == "C, D"
    assert [c.name for c in known_corpora() if c.measuring_only] == ["emotify"]


def test_emotify_by_its_table_of_ratings(tmp_path: Path) -> None:
    put(tmp_path / "data.csv", "track id,genre, amazement \n1,classical,0\n1,classical,1\n302,pop,0\n")
    put(tmp_path / "classical" / "1.mp3")
    put(tmp_path / "pop" / "2.mp3")
    assert {t.id: t.genre for t in by_id(tmp_path, "emotify").values()} == {
        "emotify/classical/1": "classical",
        "emotify/pop/2": "pop",
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_missing_empty_and_extra_files_are_told(tmp_path: Path, name: str) -> None:
    LAYOUTS[name](tmp_path)
    audio = sorted(p for p in tmp_path.rglob("*") if p.suffix in (".mp3", ".wav", ".opus"))
    before = len(read_corpus(name, tmp_path).tracks)
    audio[0].unlink()
    put(audio[1], b"")
    put(tmp_path / "more" / "extra.mp3")
    reading = read_corpus(name, tmp_path)
    assert len(reading.tracks) == before - 2
    missing, empty, extra = reading.problems
    assert "1 audio files are listed but not there" in missing
    assert audio[1].relative_to(tmp_path).as_posix() in empty
    assert "more/extra.mp3" in extra


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_without_the_tables_is_an_error_that_names_them(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError, match=r"\.(csv|tsv|txt) below it; expected .* as published"):
        read_corpus(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("fma-small", "tracks.csv"),
        ("magnatagatune", "annotations_final.csv"),
        ("mtg-jamendo-moodtheme", "autotagging_moodtheme-train.tsv"),
        ("emotify", "labels.csv"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_a_table_of_another_kind_is_an_error_that_names_it(
    tmp_path: Path, name: str, table: str, content: bytes
) -> None:
    LAYOUTS[name](tmp_path)
    for file in list(tmp_path.rglob(table)):
        put(file, content)
    with pytest.raises(CorpusError, match=table):
        read_corpus(name, tmp_path)


# The command line


def test_the_list_names_what_is_known_and_what_is_here(apt: Apt) -> None:
    result = invoke(["corpus", "list", "--json"])
    assert result.exit_code == 0
    rows = {row["name"]: row for row in json.loads(result.output)}
    assert set(rows) == {c.name for c in known_corpora()}
    assert rows["debian-games"]["manifest"] is None
    assert rows["debian-games"]["subsets"] == ["demo"]
    assert "debian-games/demo" in invoke(["corpus", "list"]).output


@posix
def test_fetch_to_a_folder_on_the_command_line(apt: Apt, two: None, tmp_path: Path) -> None:
    arguments = ["corpus", "fetch", "debian-games/demo", "-o", str(tmp_path / "here")]
    result = invoke(arguments, standalone_mode=False)
    assert result.return_value == 0
    assert "1 track in " in result.output
    assert (tmp_path / "here" / "p" / "a.ogg").is_file()


def test_read_on_the_command_line(tmp_path: Path) -> None:
    gtzan(tmp_path / "gtzan")
    put(tmp_path / "gtzan" / "extra.wav")
    out = tmp_path / "m.jsonl"
    result = invoke(["corpus", "read", "gtzan", str(tmp_path / "gtzan"), "-o", str(out)])
    assert result.exit_code == 0
    assert "3 tracks listed in " in result.output
    assert "extra.wav" in result.output
    assert len(read_manifest(out)) == 3


def test_reading_what_is_fetched_is_an_error() -> None:
    with pytest.raises(CorpusError, match="mirclr corpus fetch debian-games"):
        read_corpus("debian-games", Path())
