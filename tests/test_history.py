import contextlib
import json
import os
import random
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.errors import HistoryError, PlaylistError
from mirclr.library import Listen
from mirclr.recommend.history import aggregate, merge, read_history, sources

T = 1_672_654_260  # 2023-01-02 10:11


def heard(at, artist="Ärtist", title="Song", album="Album", **more):
    data = {"artist_name": artist, "track_name": title, "release_name": album, "additional_info": {}, **more}
    return {"listened_at": at, "track_metadata": data}


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(*records):
    return "".join(json.dumps(r) + "\n" for r in records)


def zipped(tmp_path, members, method=zipfile.ZIP_DEFLATED):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# ListenBrainz


@pytest.mark.parametrize(
    "text",
    [
        lines(heard(T), heard(T + 60, "ARTIST", "song", None), heard(T - 60, title="Other")),
        json.dumps([heard(T), heard(T + 60, "ARTIST", "song", None), heard(T - 60, title="Other")], indent=1),
        "\ufeff" + lines(heard(T), heard(T + 60, "artist", "song"), heard(float(T - 60), title="Other")),
    ],
)
def test_listens_of_one_piece_become_one(tmp_path, text):
    told = read_history(written(tmp_path, "a", text))
    assert (told.kind, told.problems) == ("ListenBrainz", [])
    other, song = told.listens
    assert (song.title.lower(), song.album, song.plays, song.last_s, song.taste) == ("song", "Album", 2, T + 60, 0)
    assert (other.title, other.plays, other.last_s) == ("Other", 1, T - 60)


def test_a_list_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 37)
    records = [heard(T + i, title=f"{i} é") for i in range(50)]
    told = read_history(written(tmp_path, "a.json", json.dumps(records, ensure_ascii=False)))
    assert sorted(x.title for x in told.listens) == sorted(f"{i} é" for i in range(50))
    assert told.problems == []


def test_a_list_that_breaks_off_gives_what_is_before(tmp_path):
    told = read_history(written(tmp_path, "a.json", json.dumps([heard(T), heard(T, title="B")])[:-20]))
    assert [x.title for x in told.listens] == ["Song"]
    assert told.problems == ["listen 2: the JSON breaks off here; what follows is not read"]


def test_loves_and_hates_of_the_zip_find_their_recordings(tmp_path):
    path = zipped(
        tmp_path,
        {
            "feedback.jsonl": lines(
                {"recording_msid": "m2", "recording_mbid": None, "score": -1, "created": T + 9},
                {"recording_msid": "m2", "recording_mbid": None, "score": 1, "created": T},
                {"recording_msid": None, "recording_mbid": "b1", "score": 1, "created": T},
                {"recording_msid": "unheard", "recording_mbid": None, "score": 1, "created": T},
                {"score": "1"},
                {"score": 0},
            ),
            "listens/2023/1.jsonl": lines(heard(T, recording_msid="m1", mbid_mapping={"recording_mbid": "b1"})),
            "listens/2023/2.jsonl": lines(heard(T, title="Second", recording_msid="m2", mbid_mapping=None)),
            "pinned_recording.jsonl": lines({"recording_msid": "m1"}),
            "user.json": '{"user_id": 1, "username": "anna"}',
            "../../listens/x.txt": "not looked at",
        },
    )
    told = read_history(path)
    assert [(x.title, x.plays, x.taste) for x in told.listens] == [("Second", 1, -1), ("Song", 1, 1)]
    assert told.problems == [
        "feedback.jsonl, line 5: its score is 1; expected 1, 0 or -1",
        "feedback.jsonl, line 4: loves or hates a recording that no listen names",
    ]
    assert list(tmp_path.rglob("*")) == [path]


def test_feedback_that_names_its_recording_needs_no_listen(tmp_path):
    record = {"score": 1, "created": T, "track_metadata": {"artist_name": "A", "track_name": "B"}}
    assert read_history(written(tmp_path, "f.jsonl", lines(record))).listens == [Listen("A", "B", taste=1)]


@pytest.mark.parametrize("at", [None, "soon", True, -1, 0, -2_208_988_800, 32_503_680_000, 1e300, [1], float("nan")])
def test_a_time_that_cannot_be_is_left_out_and_told(tmp_path, at):
    told = read_history(written(tmp_path, "a.jsonl", lines(heard(at))))
    assert [(x.plays, x.last_s) for x in told.listens] == [(1, None)]
    assert len(told.problems) == 1


BAD = [
    "not json",
    "[]",
    "7",
    '"x"',
    "null",
    "{}",
    '{"listened_at": 1',
    '{"listened_at": 1, "track_metadata": []}',
    lines(heard(T, artist=7)).strip(),
    lines(heard(T, title="")).strip(),
    lines(heard(T, title="x" * 2000)).strip(),
    lines(heard(T, title="y" * 1_100_000)).strip(),
    "[" * 100_000,
    '{"listened_at": ' + "9" * 5000 + "}",
    "\x00\x01",
]


def test_bad_lines_are_told_and_end_nothing(tmp_path):
    told = read_history(written(tmp_path, "a.jsonl", "\n".join([lines(heard(T)).strip(), *BAD, lines(heard(T))])))
    assert [x.plays for x in told.listens] == [2]
    assert told.problems[0] == "line 2: not JSON"
    assert told.problems[-1] == f"and {len(BAD) - 5} more"


def test_names_are_made_fit_to_be_kept(tmp_path):
    told = read_history(written(tmp_path, "a.jsonl", lines(heard(T, "A\0  B\n", "\ud800 x"))))
    assert [(x.artist, x.title) for x in told.listens] == [("A B", "? x")]


def test_a_zip_that_states_too_much_is_refused(tmp_path, monkeypatch):
    bomb = zipped(tmp_path, {"listens/2023/1.jsonl": b" " * 3_000_000, "listens/2023/2.jsonl": lines(heard(T))})
    assert read_history(bomb).listens
    monkeypatch.setattr(sources, "MAX_BYTES", 2_000_000)
    with pytest.raises(HistoryError, match="more than 2 GB"):
        read_history(bomb)
    monkeypatch.undo()
    monkeypatch.setattr(sources, "_MAX_MEMBERS", 1)
    with pytest.raises(HistoryError, match="holds 2 files"):
        read_history(bomb)


def test_a_zip_that_states_less_than_it_holds_gives_no_more(tmp_path):
    content = lines(*(heard(T, title=f"{i}") for i in range(1000))).encode()
    path = zipped(tmp_path, {"listens/2023/1.jsonl": content})
    stated = len(content).to_bytes(4, "little")
    assert path.read_bytes().count(stated) == 2
    path.write_bytes(path.read_bytes().replace(stated, (1000).to_bytes(4, "little")))
    with pytest.raises(HistoryError, match="damaged"):
        read_history(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_left_out(tmp_path, method):
    with pytest.raises(HistoryError, match="packed in a way"):
        read_history(zipped(tmp_path, {"listens/2023/1.jsonl": lines(heard(T))}, method))


def test_damaged_zip_files_are_told(tmp_path):
    whole = zipped(tmp_path, {"listens/2023/1.jsonl": lines(*(heard(T + i) for i in range(200)))}).read_bytes()
    rng = random.Random(0)
    for _ in range(150):
        damaged = bytearray(whole[: rng.choice([len(whole), rng.randrange(4, len(whole))])])
        for _ in range(rng.randrange(4)):
            damaged[rng.randrange(4, len(damaged))] = rng.randrange(256)
        with contextlib.suppress(HistoryError):
            assert read_history(written(tmp_path, "d.zip", bytes(damaged))).listens
    with pytest.raises(HistoryError, match="without listens"):
        read_history(zipped(tmp_path, {"photos/1.jsonl": "{}"}))


# Last.fm


@pytest.mark.parametrize(
    "text",
    [
        'Ärtist,Album,"Song, The","02 Jan 2023 10:11"\nÄrtist,,Live,\n',
        '"Ärtist","Album","Song, The","02 Jan 2023, 10:11:00"\r\n"Ärtist","","Live",""\r\n',
        "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
        f'"{T}","02 Jan 2023, 10:11","Ärtist","","Album","","Song, The",""\n"","","Ärtist","","","","Live",""\n',
        f'Artist;Album;AlbumId;Track;Date#anna\nÄrtist;Album;;Song, The;"{T}000"\nÄrtist;;;Live;\n',
        "\ufeffArtist\tTrack\tAlbum\tTimestamp\nÄrtist\tSong, The\tAlbum\t2023-01-02T10:11:00Z\nÄrtist\tLive\t\t\n",
        "sep=;\nArtist;Track;Album;Date\nÄrtist;Song, The;Album;02 Jan 2023 10:11\nÄrtist;Live;;\n",
        'Artist,Album,Name,Date\nÄrtist,Album,"Song, The",2023-01-02 11:11:00+01:00\nÄrtist,,Live,\n',
    ],
)
def test_tables_of_last_fm(tmp_path, text):
    told = read_history(written(tmp_path, "anna.csv", text))
    assert (told.kind, told.problems) == ("Last.fm", [])
    assert told.listens == [
        Listen("Ärtist", "Live", plays=1),
        Listen("Ärtist", "Song, The", "Album", plays=1, last_s=T),
    ]


def test_bad_rows_are_told_and_spoil_no_other(tmp_path):
    good = "A,B,C,02 Jan 2023 10:11\n"
    bad = ["A,B", 'A,B,"C', ",B,C,02 Jan 2023 10:11", "A,B,C,02 Jan 2023 10:11,E"]
    timeless = ["A,B,C,02 Jan 1900 10:11", "A,B,C,01 Jan 3000 00:00", "A,B,C,31 Feb 2020 10:11", "A,B,C,soon"]
    told = read_history(written(tmp_path, "a.csv", good + "\n".join([*bad, *timeless, good])))
    assert told.listens == [Listen("A", "C", "B", plays=2 + len(timeless), last_s=T)]
    assert len(told.problems) == 6
    assert told.problems[0] == "line 2: has 2 values; expected 4"
    assert told.problems[-1] == "and 3 more"


def test_a_table_may_tell_the_number_of_plays(tmp_path):
    text = "artist,track,playcount\nA,B,12\nA,C,many\nA,D,99999999999999999999\n"
    assert [x.plays for x in read_history(written(tmp_path, "a.csv", text)).listens] == [12, 1, 1]


# likes and dislikes


def test_lines_of_likes_and_dislikes(tmp_path):
    text = "# mine\n\n+ Ärtist - Song - Live\n- B – C\n+ b - c\n- music/x.ogg\n+ /abs/y.flac\nnonsense\n+ Nobody\n+\n"
    told = read_history(written(tmp_path, "likes.txt", text))
    assert told.kind == "likes and dislikes"
    folder = os.path.realpath(tmp_path)
    assert sorted(told.listens, key=lambda x: x.file) == [
        Listen("Ärtist", "Song - Live", taste=1),
        Listen("B", "C", taste=1),
        *sorted(
            [
                Listen("", "", file=os.path.normpath(os.path.join(folder, "/abs/y.flac")), taste=1),
                Listen("", "", file=os.path.join(folder, "music", "x.ogg"), taste=-1),
            ],
            key=lambda x: x.file,
        ),
    ]
    assert [p.partition(":")[0] for p in told.problems] == ["line 8", "line 9", "line 10"]


def test_the_files_of_a_playlist_are_liked(tmp_path):
    told = read_history(written(tmp_path, "l.m3u8", "#EXTM3U\na.ogg\nsub/b.ogg\na.ogg\nhttp://radio\n"))
    folder = os.path.realpath(tmp_path)
    assert told.kind == "a playlist"
    assert told.listens == [
        Listen("", "", file=os.path.join(folder, *parts), taste=1) for parts in (("a.ogg",), ("sub", "b.ogg"))
    ]


# what is no history


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n \n",
        b"some text",
        b"a,b,c,d\n1,2,3,4\n",
        b"\xff\xfe+\0 \0",
        b"OggS\0\2" + bytes(100),
        b"PK\x03\x04",
        b"PK\x03\x04" + bytes(1000),
        b"[",
        b"[]",
        b"{}",
        b"[NaN, Infinity]",
        b'{"payload": {}}',
        b"artist,track,uts\n",
    ],
)
def test_what_is_no_history_is_refused_by_name(tmp_path, content):
    with pytest.raises(HistoryError, match=r"strange\.bin: ") as caught:
        read_history(written(tmp_path, "strange.bin", content))
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", b"[", b"{", b"+ ", b"artist,track,uts\n", b"#EXTM3U\n", b"PK\x03\x04", b'{"score":']).flatmap(
        lambda head: st.binary(max_size=80).map(lambda tail: head + tail)
    )
)
def test_no_content_makes_it_crash(tmp_path_factory, content):
    for name in ("a.m3u8", "a.txt"):
        with contextlib.suppress(HistoryError, PlaylistError):
            assert read_history(written(tmp_path_factory.mktemp("any"), name, content)).listens


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HistoryError, match="not a file"):
        read_history(tmp_path / "pipe")


# many listens to one a piece


names = st.sampled_from(["Björk", "bjork", "BJÖRK", "Sigur Rós", "x"])
listens = st.lists(
    st.builds(
        Listen,
        names,
        names,
        st.sampled_from(["", "One", "Two"]),
        plays=st.integers(0, 50),
        last_s=st.none() | st.integers(T, T + 9).map(float),
    ),
    max_size=12,
)


@given(listens, st.randoms())
def test_the_order_of_listens_does_not_matter(some, rng):
    shuffled = some[:]
    rng.shuffle(shuffled)
    found = aggregate(some)
    assert aggregate(shuffled) == found
    assert sum(x.plays for x in found) == sum(x.plays for x in some)
    assert aggregate(found) == found


@given(listens, listens)
def test_merging_counts_no_play_twice(old, more):
    old = aggregate(old)
    whole = aggregate([*old, *more])  # a later export tells of the earlier plays too
    assert merge(old, whole) == whole
    assert merge(whole, whole) == whole
    assert merge(whole, old) == whole
    assert merge([], old) == old


def test_the_last_taste_is_kept():
    like, dislike, play = Listen("A", "B", taste=1), Listen("a", "b", taste=-1), Listen("A", "B", plays=3)
    assert [x.taste for x in aggregate([like, dislike, play])] == [-1]
    assert merge([like], [dislike]) == [Listen("A", "B", taste=-1)]
    assert merge([like], [play]) == [Listen("A", "B", plays=3, taste=1)]
