"""Writing tags harms nothing: whatever the container and its tags, the sound stays and undo gives the file back."""

import errno
import io
import os
import subprocess
import sys
import zlib
from dataclasses import replace

import mutagen
import mutagen.id3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirclr.audio.packets import packets_digest
from mirclr.errors import MirclrError, TagsError
from mirclr.ingest.tagging import WriteOptions, remove_leftovers, undo_change, write_values
from mirclr.ingest.tagging.delta import decoded, encoded
from mirclr.tags import WRITABLE, Tags, read_tags, read_values
from mirclr.tags.block import Source
from mirclr.tags.layout import layout_of
from mirclr.tags.mp4 import ItemList
from mirclr.tags.names import names_of
from tests.tagged_files import (
    FILES,
    GENRES,
    a_file,
    ape,
    frame,
    id3,
    id3v1,
    mp3,
    muxed,
    ogg_with_picture,
    sound,
    synchsafe,
)

NEW = {"genre": ["Drum & Bass"], "mood": ["calm", "träumerisch"], "bpm": ["128"], "key": ["F#m"]}
LONG = {"genre": ["x" * 9000], "mood": ["y" * 3000]}


def items(path):
    """All items of all tags of a file but those of the fields that are written."""
    with path.open("rb") as f:
        blocks = layout_of(Source(f)).blocks
    held = [(b.place, i.name, i.raw) for b in blocks for i in b.items]
    ours = {n for b in blocks for field in WRITABLE for n in names_of(field, b.family)}
    return [h for h in held if h[1] not in ours]


def demuxer(path):
    with path.open("rb") as f:
        return layout_of(Source(f)).demuxer


@pytest.mark.parametrize("name", FILES)
def test_writing_leaves_sound_and_other_tags_and_undo_gives_the_file_back(tmp_path, name):
    path = a_file(tmp_path, name)
    before, others, packets = path.read_bytes(), items(path), packets_digest(path, demuxer(path))
    said, changes = replace(read_tags(path), genre=None, duration_s=None), []
    for fields in (NEW, LONG, {"genre": [], "key": ["C"]}):
        changes.append(write_values(path, fields))
        found = {field: read_values(path, field) for field in fields}
        assert found == {field: tuple(values) for field, values in fields.items()}
        assert packets_digest(path, demuxer(path)) == packets
        now = items(path)
        assert [item for item in now if item in others] == others
        # a new tag takes over what the others say
        assert len(now) == len(others) or all(item[0] != now[0][0] for item in others)
        assert replace(read_tags(path), genre=None, duration_s=None) == said
    for change in reversed(changes):
        assert undo_change(change) == "undone"
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


# every place where a person's tag can stand


@pytest.mark.parametrize("place", GENRES)
def test_what_a_person_wrote_is_found_in_every_place_and_set_there_when_asked_for(tmp_path, place):
    suffix, make, expected = GENRES[place]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(make(tmp_path / f"made{suffix}"))
    before = path.read_bytes()
    assert read_values(path, "genre") == expected
    try:
        change = write_values(path, {"genre": ["Pop"]})
    except TagsError:  # texts of QuickTime are read alone; decoders may take a tag behind MP3 for sound
        assert place in ("QuickTime", "QuickTime's keys", "3GPP", "ID3 behind MP3")
        assert path.read_bytes() == before
        return
    assert read_values(path, "genre") == ("Pop",)
    assert undo_change(change) == "undone"
    assert path.read_bytes() == before


def test_a_new_tag_hides_nothing_from_programs_that_look_at_one_alone(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(mp3(tmp_path / "made.mp3") + id3v1())
    v1 = mutagen.File(path)
    change = write_values(path, {"mood": ["calm"], "genre": ["Pop"]})
    now = mutagen.id3.ID3(path, load_v1=False)
    assert now["TXXX:MOOD"].text == ["calm"]
    assert now["TCON"].text == ["Pop"]
    for name in ("TIT2", "TPE1", "TALB", "TRCK"):
        assert str(now.get(name)) == str(v1.get(name))
    assert undo_change(change) == "undone"
    path.write_bytes(mp3(tmp_path / "made.mp3") + ape(Title="T", Artist="A\0B", Year="1999-05-06", Comment="C"))
    write_values(path, {"genre": ["Pop"]})
    now = mutagen.id3.ID3(path)
    assert [str(now[f]) for f in ("TIT2", "TPE1", "TDRC", "COMM::eng")] == ["T", "A; B", "1999", "C"]
    assert replace(read_tags(path), duration_s=None) == Tags("T", "A; B", genre="Pop", year=1999)


# what is wrong is refused


def wrong_sizes():
    def of_riff(value):
        return lambda d: d[:4] + value(d).to_bytes(4, "little") + d[8:]

    yield "RIFF 0", ".wav", of_riff(lambda d: 0)
    yield "RIFF half", ".wav", of_riff(lambda d: len(d) // 2)
    yield "RIFF streamed", ".wav", of_riff(lambda d: 2**32 - 1)
    yield "RIFF too long", ".wav", of_riff(lambda d: len(d) + 100)
    yield "WAV cut off", ".wav", lambda d: d[: len(d) * 9 // 10]
    yield "WAV with more behind it", ".wav", lambda d: d + b"more than it says"
    yield "data too long", ".wav", lambda d: d[:40] + (len(d) * 2).to_bytes(4, "little") + d[44:]
    yield "AIFF 0", ".aiff", lambda d: d[:4] + bytes(4) + d[8:]
    yield "AIFF cut off", ".aiff", lambda d: d[: len(d) * 9 // 10]
    yield "MP4 cut off", ".m4a", lambda d: d[: len(d) // 2]
    yield "MP4 with more behind it", ".m4a", lambda d: d + b"more"
    yield "ID3 longer than the file", ".mp3", lambda d: b"ID3\3\0\0" + synchsafe(len(d) + 100) + d
    yield "ID3 with a checksum", ".mp3", lambda d: id3(3, b"\0\0\0\x0a\x80\0\0\0\0\0abcd", flags=64) + d
    yield "ID3 damaged", ".mp3", lambda d: id3(3, b"TIT2\xff\xff\xff\xff\0\0\0T") + d
    yield "FLAC cut off in its metadata", ".flac", lambda d: d[:50]
    yield "Ogg cut off in its headers", ".ogg", lambda d: d[:200]


@pytest.mark.parametrize(("suffix", "harm"), [pytest.param(s, h, id=n) for n, s, h in wrong_sizes()])
def test_a_file_that_is_not_as_its_headers_say_is_left(tmp_path, suffix, harm):
    made = {".m4a": lambda p: muxed(p, "ipod", "aac"), ".mp3": mp3}.get(suffix, lambda p: sound(p, suffix))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(harm(made(tmp_path / f"made{suffix}")))
    before = path.read_bytes()
    with pytest.raises(TagsError, match=f"a{suffix}: "):
        write_values(path, NEW)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "head", [b"\x1a\x45\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"caff\0\1\0\0", b"FLV\1", b".snd\0\0\0\x20"]
)
def test_a_container_that_holds_mp3_frames_is_not_tagged_as_mp3(head, tmp_path):
    """A tag before its head would hide what it is."""
    file = tmp_path / "a.mka"
    file.write_bytes(head + bytes(60) + (b"\xff\xfb\x90\x64" + bytes(413)) * 40)
    before = file.read_bytes()
    with pytest.raises(TagsError, match=r"a\.mka: not a kind of file"):
        write_values(file, {"genre": ("Rock",)})
    assert file.read_bytes() == before


def test_a_copy_with_other_sound_or_tags_never_takes_a_file_s_place(tmp_path, monkeypatch):
    from mirclr.ingest.tagging import writing

    path = a_file(tmp_path, "m4a, moov in front")
    before = path.read_bytes()
    ordered = writing._in_order

    def harmful(splices):
        return ordered([*splices, writing.Splice(len(before) - 400, 200, bytes(200))])

    monkeypatch.setattr(writing, "_in_order", harmful)
    with pytest.raises(TagsError, match="sound would not be"):
        write_values(path, NEW)
    monkeypatch.setattr(writing, "_in_order", ordered)
    made = ItemList.splices
    monkeypatch.setattr(ItemList, "splices", lambda self, items: made(self, items[1:]))
    with pytest.raises(TagsError, match="read back"):
        write_values(path, NEW)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


# what belongs to a file


def test_times_are_kept_unless_they_are_to_advance(tmp_path):
    path = a_file(tmp_path, "flac")
    os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_123_456_000))
    before = path.stat().st_mtime_ns
    change = write_values(path, NEW)
    assert path.stat().st_mtime_ns == before
    undo_change(change, WriteOptions(touch=True))
    assert path.stat().st_mtime_ns > before


def test_hard_links_are_not_taken_apart_unless_asked_for(tmp_path):
    path = a_file(tmp_path, "flac")
    try:
        os.link(path, tmp_path / "other.flac")
    except OSError:
        pytest.skip("no hard links here")
    before = path.read_bytes()
    with pytest.raises(TagsError, match="2 names"):
        write_values(path, NEW)
    assert path.read_bytes() == before
    assert path.stat().st_nlink == 2
    write_values(path, NEW, WriteOptions(break_links=True))
    assert (tmp_path / "other.flac").read_bytes() == before != path.read_bytes()


def test_a_link_stays_a_link_and_one_out_of_the_root_is_not_followed(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    file, victim = a_file(root, "flac"), a_file(outside, "flac")
    try:
        (root / "link.flac").symlink_to("a.flac")
        (root / "out.flac").symlink_to(victim)
    except OSError:
        pytest.skip("no symbolic links here")
    before = victim.read_bytes()
    write_values(root / "link.flac", NEW, WriteOptions(root=root))
    assert (root / "link.flac").is_symlink()
    assert read_values(file, "genre") == ("Drum & Bass",)
    for path in (root / "out.flac", root / ".." / "outside" / "a.flac"):
        with pytest.raises(TagsError, match="outside of"):
            write_values(path, NEW, WriteOptions(root=root))
    assert victim.read_bytes() == before


def test_extended_attributes_are_kept(tmp_path):
    path = a_file(tmp_path, "mp3, no tag")
    try:
        os.setxattr(path, "user.rating", b"5")
    except (AttributeError, OSError):
        pytest.skip("no extended attributes here")
    write_values(path, NEW)
    assert os.getxattr(path, "user.rating") == b"5"


def test_the_owner_is_kept(tmp_path):
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root gives files away")
    path = a_file(tmp_path, "mp3, no tag")
    os.chown(path, 12345, 23456)
    os.chmod(path, 0o640)
    write_values(path, NEW)
    facts = path.stat()
    assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o777) == (12345, 23456, 0o640)


def test_a_name_as_long_as_the_disk_takes_is_no_hindrance(tmp_path):
    path = a_file(tmp_path, "flac")
    long = path.with_name("n" * 244 + ".flac")
    try:
        path.rename(long)
    except OSError:
        pytest.skip("names are shorter here")
    write_values(long, NEW)
    assert read_values(long, "key") == ("F#m",)


def test_what_another_program_changes_meanwhile_is_not_overwritten(tmp_path):
    path = a_file(tmp_path, "flac")

    def meanwhile(file, copy, demuxer):
        file.write_bytes(file.read_bytes() + b"new")

    with pytest.raises(TagsError, match="another program"):
        write_values(path, NEW, WriteOptions(same_packets=meanwhile))
    assert path.read_bytes().endswith(b"new")


# kills, and disks that are full


def test_a_killed_write_leaves_the_file_and_its_copy_is_swept_up(tmp_path):
    path = a_file(tmp_path, "flac")
    before = path.read_bytes()
    code = (
        "import os, sys; from pathlib import Path; from mirclr.ingest.tagging import WriteOptions, write_values\n"
        "die = lambda *files: os._exit(9)\n"
        "write_values(Path(sys.argv[1]), {'genre': ['x']}, WriteOptions(same_packets=die))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == 9
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / ".mirclr-notours.flac").touch()
    assert remove_leftovers(tmp_path) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mirclr-notours.flac", "a.flac"]


def test_a_copy_that_is_being_made_is_not_swept_up(tmp_path):
    path, swept = a_file(tmp_path, "flac"), []
    write_values(path, NEW, WriteOptions(same_packets=lambda *files: swept.append(remove_leftovers(tmp_path))))
    assert swept == [0]
    assert read_values(path, "genre") == ("Drum & Bass",)


def test_a_full_disk_harms_nothing_and_names_the_file(tmp_path, monkeypatch):
    from mirclr.ingest.tagging import replacing

    path = a_file(tmp_path, "flac")
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / ".mirclr-12345678.tmp"))

    monkeypatch.setattr(replacing, "spliced", full)
    with pytest.raises(OSError, match=r"a\.flac"):
        write_values(path, NEW)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.flac"]


def _unequal(*_):
    raise TagsError("its sound would not be what it was")


def test_no_copy_stays_where_the_last_bytes_find_no_place(tmp_path, monkeypatch):
    from mirclr.ingest.tagging import replacing

    class Full(io.FileIO):
        def close(self):
            if not self.closed:
                super().close()
                raise OSError(errno.ENOSPC, "No space left on device")

    path = a_file(tmp_path, "flac")
    before = path.read_bytes()
    monkeypatch.setattr(replacing, "open", Full, raising=False)
    with pytest.raises(OSError, match=r"a\.flac"):
        write_values(path, NEW, WriteOptions(same_packets=_unequal))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.flac"]


def test_a_folder_that_may_not_be_written_is_said(tmp_path, monkeypatch):
    from mirclr.ingest.tagging import replacing

    path = a_file(tmp_path, "flac")
    before = path.read_bytes()
    monkeypatch.setattr(replacing.os, "access", lambda where, _: where != tmp_path.resolve())
    with pytest.raises(TagsError, match=r"a\.flac: its folder may not be written; left as it is"):
        write_values(path, NEW)
    assert path.read_bytes() == before


# undo where others wrote too


@pytest.mark.parametrize("name", ["mp3, everything", "flac", "m4a", "wav, INFO", "ogg vorbis", "wma", "wavpack, APE"])
def test_what_others_wrote_since_stays_when_ours_is_taken_back(tmp_path, name):
    path = a_file(tmp_path, name)
    start = write_values(path, {"genre": ["Old"]})
    assert start
    others = items(path)
    change = write_values(path, {"genre": ["New"], "key": ["C"], "mood": ["calm"]})
    write_values(path, {"mood": ["theirs"], "bpm": ["90"]})
    assert undo_change(change) == "undone"
    assert [read_values(path, f) for f in WRITABLE] == [("Old",), ("theirs",), ("90",), ()]
    assert items(path) == others
    assert undo_change(change) == "changed since"


# limits


def test_a_packed_frame_is_unpacked_to_a_limit(tmp_path):
    packed = zlib.compress(b"\3" + b"A" * (20 << 20), 1)
    raw = b"TIT2" + synchsafe(len(packed) + 4) + b"\0\x09" + synchsafe(20 << 20) + packed
    path = tmp_path / "a.mp3"
    path.write_bytes(id3(4, raw, frame(b"TALB", b"\3Album", 4)) + mp3(tmp_path / "m.mp3"))
    tags = read_tags(path)
    assert tags.album == "Album"
    assert len(tags.title) < 1 << 16
    with pytest.raises(TagsError, match="unpack to more than"):
        write_values(path, NEW)


def test_of_a_tag_of_very_many_items_some_are_read_and_none_is_written(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(
        id3(4, frame(b"TIT2", b"\3T", 4), frame(b"TXXX", b"\3a\0b", 4) * 400_000) + mp3(tmp_path / "m.mp3")
    )
    assert read_tags(path).title == "T"
    with pytest.raises(TagsError, match="more than"):
        write_values(path, NEW)


# what is kept for undoing


@given(old=st.binary(max_size=3000), new=st.binary(max_size=3000), at=st.integers(0, 2000), cut=st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_old_bytes_come_back_from_the_new_ones(old, new, at, cut):
    changed = old[:at] + new[: cut // 2] + old[at + cut :]
    for other in (new, changed, old * 3):
        assert decoded(encoded(old, other), other) == old


def test_a_picture_that_moved_takes_little_room():
    picture = os.urandom(300_000)
    old, new = b"head" + picture + b"tail" * 20, b"longer head" + picture + b"other tail" * 20
    assert len(str(encoded(old, new))) < 1000


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_a_picture_that_moved_to_other_pages_takes_little_room(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(ogg_with_picture(tmp_path / f"made{suffix}", suffix))
    change = write_values(path, NEW)
    assert len(str(change.runs)) < 20_000


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_written_without_harm_or_left(tmp_path, data):
    name = data.draw(
        st.sampled_from(["mp3, everything", "flac", "m4a, fragmented", "wav, INFO", "ogg vorbis", "aiff", "wma"])
    )
    whole = _MADE.setdefault(name, None) or a_file(tmp_path, name).read_bytes()
    _MADE[name] = whole
    harmed = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        harmed[at] = data.draw(st.integers(0, 255))
    path = tmp_path / f"b{FILES[name][0]}"
    path.write_bytes(harmed)
    try:
        change = write_values(path, NEW)
    except MirclrError:
        pass
    else:
        assert undo_change(change) == "undone"
    assert path.read_bytes() == harmed


_MADE: dict[str, bytes | None] = {}


@pytest.mark.parametrize("run", ["AAAA", "not base64", "eJwDAAAAAAE=", [None, 3], [0, 10**9], [0]])
def test_a_damaged_journal_takes_nothing_back_and_says_so(run, tmp_path):
    song = a_file(tmp_path, "flac")
    change = write_values(song, NEW)
    damaged = replace(change, runs=[[start, length, [run]] for start, length, _ in change.runs])
    now = song.read_bytes()
    with pytest.raises(TagsError, match=song.name):
        undo_change(damaged)
    assert song.read_bytes() == now
    assert undo_change(change) == "undone"
