"""How lists, tables, numbers and progress look: on terminals of any width, in any encoding, and piped."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from mirclr import terminal
from mirclr.cli import show
from mirclr.cli.endings import close_with_songs, remark_failures
from mirclr.cli.recommend import title_of
from mirclr.cli.show import ListedSong
from mirclr.cli.streams import printing
from mirclr.library import Entry, LibraryStore, LibraryTrack
from mirclr.models.stamp import EncoderStamp
from mirclr.pace import Pace, time_left
from mirclr.recommend import Answer, Query, Recommendation, Seed
from mirclr.recommend.reasons import Explanation
from mirclr.tags import Tags

LONG = "Brandenburg Concerto No. 3 in G major, BWV 1048: I. Allegro"
SONGS = (
    ListedSong("Mrs. Robinson", "Simon & Garfunkel", "Bookends", 228, 0.92, "acoustic, sad", "/m/a.ogg"),
    ListedSong(LONG, "Johann Sebastian Bach; Academy of St Martin in the Fields", "Concertos", 3725, 0.996, "baroque"),
    ListedSong("ドリーム" * 12, "坂本龍一", "B", 65, 0.5),
    ListedSong("01 - unknown.mp3", duration_s=5, file="/m/01 - unknown.mp3"),
    ListedSong("x" * 200, "y" * 200, "z" * 200, 1, 1.0, "acoustic, sad, slow and very long words indeed"),
)


@pytest.fixture
def printed(monkeypatch):
    """What is printed to standard output and error on a terminal of so many columns, or into a pipe."""

    def of(do, columns=None, encoding="utf-8", **environment):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n") for _ in range(2)]
        for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"COLUMNS": str(columns or 80), "TERM": "xterm", **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(show, "is_terminal", lambda stream: columns is not None)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            with printing():
                do()
        return tuple(stream.buffer.getvalue().decode(encoding) for stream in streams)

    return of


# numbers


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (terminal.counted(0, "song"), "no songs"),
        (terminal.counted(1, "copy"), "1 copy"),
        (terminal.counted(1200, "copy"), "1,200 copies"),
        (terminal.counted(2, "match"), "2 matches"),
        (terminal.counted(2, "key"), "2 keys"),
        (terminal.counted(2, "child", "children"), "2 children"),
        (terminal.clock(228), "3:48"),
        (terminal.clock(59.6), "1:00"),
        (terminal.clock(3725), "1:02:05"),
        (terminal.span(0.4), "under a second"),
        (terminal.span(1.2), "1 second"),
        (terminal.span(600), "10 minutes"),
        (terminal.span(2.99 * 3600), "3 hours"),
        (terminal.span(2.9 * 3600), "2.9 hours"),
        (terminal.span(86400 * 3.2), "3.2 days"),
        (terminal.size(1), "1 byte"),
        (terminal.size(999), "999 bytes"),
        (terminal.size(999_600), "1 MB"),
        (terminal.size(1_234_000_000), "1.2 GB"),
        (terminal.bpm(129.2), "129 bpm"),
        (terminal.percent(0), "0 %"),
        (terminal.percent(0.001), "under 1 %"),
        (terminal.percent(0.924), "92 %"),
        (terminal.percent(0.9962), "99.6 %"),
        (terminal.percent(0.99999), "99.99 %"),
        (terminal.percent(1), "100 %"),
        (terminal.number(0.8104), "0.810"),
        (terminal.number(-13.2), "-13.2"),
        (terminal.number(129.2), "129.2"),
        (terminal.number(12_000), "12,000"),
        (terminal.number(1994), "1994"),
        (time_left(4), "a few seconds left"),
        (time_left(42), "40 s left"),
        (time_left(58), "1 min left"),
        (time_left(4800), "1 h 20 min left"),
        (time_left(11 * 3600), "11 h left"),
        (time_left(3 * 86400), "3 days left"),
    ],
)
def test_numbers_are_written_as_people_write_them(written, expected):
    assert written == expected


def test_per_cents_never_fall_while_their_value_rises():
    shares = [i / 20_000 for i in range(200, 20_001)]
    written = [float(terminal.percent(share).split()[0]) for share in shares]
    assert written == sorted(written)


@pytest.mark.parametrize(
    ("fractions", "written"),
    [
        ((0.92, 0.5, None, 0.984), ["92 %", "50 %", "", "98 %"]),
        ((0.9962, 0.984, 0.4), ["99 %", "98 %", "40 %"]),
        ((0.9962, 0.992), ["99.6 %", "99.2 %"]),
        ((0.99996, 0.9991), ["99.99 %", "99.91 %"]),
        ((1.0, 0.99996, 0.3), ["100 %", "99 %", "30 %"]),
        ((None,), [""]),
        ((), []),
    ],
)
def test_per_cents_of_a_list_can_be_told_apart(fractions, written):
    assert terminal.percents(fractions) == written


# songs


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 110, 140, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp437"])
def test_each_song_is_a_line_that_fits(columns, encoding, printed):
    out, err = printed(lambda: show.print_songs(SONGS, heading="Like Queen"), columns, encoding, NO_COLOR="1")
    heading, *lines = out.splitlines()
    assert (heading, err) == ("Like Queen", "")
    assert len(lines) == len(SONGS)
    assert all(cell_len(line) <= columns and line == line.rstrip() for line in lines)
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
    for line, song in zip(lines, SONGS, strict=True):
        assert columns < 60 or terminal.clock(song.duration_s) in line
    for line, match in zip(lines, ("92 %", "99 %", "50 %", "", "100 %"), strict=True):
        assert match in line


def test_a_list_of_80_columns_reads_as_a_person_would_write_it(printed):
    songs = [*SONGS[:2], SONGS[3]]
    out, _ = printed(lambda: show.print_songs(songs), 80, NO_COLOR="1")
    assert out.splitlines() == [
        "1  Simon & Garfunkel – Mrs. Robinson                   3:48  92 %  acoustic, sad",
        "2  Johann Sebastian… – Brandenburg Concerto No. 3…  1:02:05  99 %  baroque",
        "3  01 - unknown.mp3                                    0:05",
    ]


def test_albums_come_where_there_is_room(printed):
    assert "Bookends" not in printed(lambda: show.print_songs(SONGS[:1]), 80)[0]
    assert "Bookends" not in printed(lambda: show.print_songs(SONGS[:1]), 109)[0]
    songs = [SONGS[0], ListedSong("A", "B", "Some longer album", 1)]
    assert "Bookends" in printed(lambda: show.print_songs(songs), 120)[0]


def test_what_is_asked_for_more_stands_below_its_song(printed):
    song = ListedSong("A", "B", duration_s=60, more=("cosine 0.731; same artist",))
    out, _ = printed(lambda: show.print_songs([song]), 80, NO_COLOR="1")
    assert out == "1  B – A  1:00\n   cosine 0.731; same artist\n"


def test_piped_songs_are_lines_with_tabs(printed):
    out, _ = printed(lambda: show.print_songs([SONGS[0], SONGS[3]], heading="Like Queen"))
    assert out.splitlines() == [
        "1\tSimon & Garfunkel\tMrs. Robinson\tBookends\t3:48\t92 %\tacoustic, sad\t/m/a.ogg",
        "2\t\t01 - unknown.mp3\t\t0:05\t\t\t/m/01 - unknown.mp3",
    ]


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"CI": "true"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_come_where_a_terminal_has_them(environment, coloured, printed):
    out, _ = printed(lambda: show.print_songs(SONGS, heading="x"), 80, **environment)
    assert ("\x1b[" in out) == coloured
    assert "\x1b" not in printed(lambda: show.print_songs(SONGS))[0]


# tables


def test_a_table_fits_and_breaks_no_word_while_there_is_another_way(printed):
    rows = [
        ("x", 1.5, "/home/me/" + "abc/" * 30, "cannot be read (moov atom not found) " * 3),
        ("second", 12_000, None, ""),
    ]
    for columns in (80, 140):
        out, _ = printed(lambda: show.print_table(("name", "n", "path", "reason"), rows, title="Failures"), columns)
        assert all(cell_len(line) <= columns for line in out.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())
        words = out.split()
        assert {"second", "cannot", "12,000", "1.500", "–"} <= set(words)
        assert words.count("atom") == 3
    out, _ = printed(
        lambda: show.print_table(("a" * 30, "b" * 30, "c" * 30), [("d" * 30, "e" * 90, 1)]), 40, NO_COLOR="1"
    )
    assert all(cell_len(line) <= 40 for line in out.splitlines())
    assert out.count("e") == 90


def test_numbers_stand_to_the_right_also_with_their_units(printed):
    rows = [("a", 5, "3:48", "92 %", "5 MB"), ("b", 12_000, "1:02:05", "99.6 %", "999 bytes")]
    out, _ = printed(lambda: show.print_table(("", "n", "length", "match", "size"), rows), 80, NO_COLOR="1")
    assert out.splitlines()[1:] == [
        "a       5     3:48    92 %  5 MB",
        "b  12,000  1:02:05  99.6 %  999 bytes",
    ]


def test_piped_tables_are_lines_with_tabs(printed):
    rows = [("[bold]x[/bold]", 1.23456), ("é", None), ("", 2)]
    out, _ = printed(lambda: show.print_table(("name", "value"), rows, title="what"))
    assert out == "what\nname\tvalue\n[bold]x[/bold]\t1.235\né\t\n\t2\n"
    out, _ = printed(lambda: show.print_facts([("songs", 359), ("size", "1.2 GB")]))
    assert out == "songs\t359\nsize\t1.2 GB\n"


@pytest.mark.parametrize("columns", [None, 80])
def test_an_encoding_gets_ascii_forms_of_what_it_lacks(columns, printed):
    text = "a – b … “c” × ☃"

    def speak():
        show.print_table(("what",), [(text,)])
        show.remark(text)

    out, err = printed(speak, columns, "ascii", NO_COLOR="1")
    assert out == 'what\na - b ... "c" x ?\n'
    assert err == 'a - b ... "c" x \\u2603\n'


# progress


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("mirclr.cli.show.time.monotonic", lambda: now[0])
    return now


def test_elsewhere_than_on_a_terminal_progress_is_a_line_now_and_then(printed, clock):
    def work():
        with show.progress("Embedding songs", 1000) as advance:
            for _ in range(100):
                clock[0] += 1
                advance(note="1 failed")

    out, err = printed(work)
    assert out == ""
    assert err.splitlines()[:2] == [
        "Embedding songs: 15 of 1,000, 16 min left, 1 failed",
        "Embedding songs: 30 of 1,000, 16 min left, 1 failed",
    ]
    assert len(err.splitlines()) == 6


def test_short_work_into_a_pipe_says_nothing(printed, clock):
    def work():
        with show.progress("Embedding songs", 2) as advance:
            advance(2)

    assert printed(work) == ("", "")


def test_the_time_left_follows_the_pace_of_late(clock):
    """A thousand known files go by at once; the hundred new ones take a second each."""
    pace = Pace(1100)
    clock[0] = 1
    pace.advance(1000)
    for _ in range(95):
        clock[0] += 1
        pace.advance(1)
    assert pace.left() == "a few seconds left"
    slow = Pace(1100)
    slow.advance(1000)
    for _ in range(50):
        clock[0] += 1
        slow.advance(1)
    assert slow.so_far() == "1,050 of 1,100"


def test_on_a_terminal_progress_says_what_how_far_and_how_long(printed, clock):
    def work():
        with show.progress("Embedding songs", 10) as advance:
            for _ in range(5):
                clock[0] += 60
                advance(note="1 failed")

    out, err = printed(work, 80)
    assert out == ""
    assert "Embedding songs" in err
    assert "5 of 10" in err
    assert "5 min left" in err
    assert "1 failed" in err


@pytest.mark.parametrize("environment", [{"CI": "1"}, {"TERM": "dumb"}])
def test_nothing_moves_where_nothing_can(environment, printed):
    def work():
        with show.progress("Doing", 3) as advance:
            advance(3)

    assert printed(work, 80, **environment) == ("", "")


def test_quiet_prints_what_was_asked_for_and_errors_alone(printed, clock):
    def work():
        show.speak(quiet=True)
        try:
            with show.progress("Doing", 3) as advance:
                clock[0] += 60
                advance()
            show.remark("by the way")
            show.print_line("data")
            show.closing("done")
            show.complain("mirclr: no")
        finally:
            show.speak()

    for columns in (None, 80):
        assert printed(work, columns) == ("data\n", "mirclr: no\n")


# sentences


def test_a_sentence_breaks_between_words_and_its_command_not_at_all(printed):
    command = "mirclr library remove '/home/anna/Music/A folder with a name that is long/and longer'"
    text = f"mirclr: 3 songs of a folder that is gone are kept, as its disk may be off; to remove them: {command}"
    for speak in (show.remark, show.complain, show.closing):
        lines = "".join(printed(lambda speak=speak: speak(text), 60)).splitlines()
        assert lines[-1] == f"  {command}"
        assert all(len(line) <= 60 for line in lines[:-1])
        assert " ".join(line.strip() for line in lines) == text
        assert "".join(printed(lambda speak=speak: speak(text))) == f"{text}\n"
        assert "".join(printed(lambda speak=speak: speak("short: mirclr x"), 60)) == "short: mirclr x\n"


def test_only_a_command_at_the_end_has_a_line_of_its_own(printed):
    text = "corpus gtzan: mirclr cannot fetch it; obtain it from https://example.org/a/long/address and put it there"
    lines = "".join(printed(lambda: show.complain(text), 60)).splitlines()
    assert lines[0].startswith("corpus gtzan: mirclr cannot fetch it; obtain it")
    text = "mirclr: /home/anna/.mirclr/library.db: no such library; make one from your music with: mirclr embed ~/Music"
    lines = "".join(printed(lambda: show.print_line(text), 80)).splitlines()
    assert lines == [
        "mirclr: /home/anna/.mirclr/library.db: no such library; make one from your",
        "  music with:",
        "  mirclr embed ~/Music",
    ]


def test_where_there_is_nothing_to_do_there_is_no_progress(printed):
    def work():
        with show.progress("Doing", 0):
            pass

    assert printed(work, 80) == ("", "")


def test_tables_with_titles_stand_apart(printed):
    def speak():
        show.print_table((), [("a", 1)], title="One")
        show.print_table((), [("b", 2)], title="Two")
        show.print_line("")
        show.print_table((), [("c", 3)], title="Three")

    assert printed(speak, 80, NO_COLOR="1")[0] == "One\na  1\n\nTwo\nb  2\n\nThree\nc  3\n"
    assert printed(speak)[0] == "One\na\t1\nTwo\nb\t2\n\nThree\nc\t3\n"


# ends


@pytest.mark.parametrize(
    ("counts", "dry_run", "said"),
    [
        ({"embedded": 3}, False, "3 songs ready"),
        ({"embedded": 3, "failed": 2}, False, "3 songs ready, 2 could not be read: mirclr library info --failures"),
        ({"embedded": 1, "unchanged": 2}, False, "3 songs ready (1 new)"),
        ({"unchanged": 3}, False, "3 songs ready (nothing new)"),
        ({"moved": 1, "retagged": 1, "removed": 2}, False, "3 songs ready (1 moved, 1 with new tags, 2 gone)"),
        ({"unchanged": 3, "failed": 1}, False, "3 songs ready, 1 could not be read: mirclr library info --failures"),
        ({}, False, "3 songs ready (nothing new)"),
        ({"embedded": 1, "failed": 1, "unchanged": 2}, True, "would be: 1 new; 1 could not be read"),
        ({"unchanged": 3}, True, "nothing to do"),
    ],
)
def test_the_end_says_what_is_ready_and_what_to_try(counts, dry_run, said, printed, tmp_path, monkeypatch):
    monkeypatch.setattr("mirclr.settings.default_library", lambda: tmp_path / "lib.db")
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "a.safetensors", 2, 8, {}))
        library.write(
            entries=[
                song(f"{i}", artist) for i, artist in enumerate(("Abba", "Simon & Garfunkel", "Simon & Garfunkel"))
            ]
        )
        out, err = printed(lambda: close_with_songs(library, counts, dry_run=dry_run))
    assert out == f"{said}\n"
    hint = "Try: mirclr recommend 'Simon & Garfunkel'\n"
    assert err == (hint if counts.get("embedded") and not dry_run else "")


def test_an_empty_library_has_nothing_to_try(printed, tmp_path):
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        assert printed(lambda: close_with_songs(library, {})) == ("no music found\n", "")
        out, _ = printed(lambda: close_with_songs(library, {"failed": 2}))
        assert out.startswith("no songs ready, 2 could not be read: mirclr library info --failures")


def test_of_many_failures_the_first_are_named(printed):
    failures = [(f"/m/{i}.ogg", f"/m/{i}.ogg: no audio") for i in range(500)]
    _, err = printed(lambda: remark_failures(failures, Path("lib.db")))
    lines = err.splitlines()
    assert len(lines) == 21
    assert lines[0] == "skipped /m/0.ogg: no audio"
    assert lines[-1].startswith("skipped 480 more: mirclr library info --failures --library ")


def song(path, artist):
    tags = Tags(title=f"T{path}", artist=artist)
    return Entry("/m", path, 1, 1, f"f{path}", path, 60.0, tags, np.eye(2, dtype=np.float32)[0])


# what a list is called


def test_a_title_counts_the_songs_of_an_artist(tmp_path):
    def seed(i, title, artist, path="x.ogg"):
        track = LibraryTrack(i, "/m", path, 60.0, title, artist, None, None, None, None, "")
        return Seed(track.label, np.zeros(2, np.float32), track, i)

    def titled(*seeds, found=(), **asked):
        query = Query(seeds=tuple(s.label for s in seeds), **asked)
        return title_of(Answer(query, seeds, list(found), []))

    one, *more = seed(1, "One", "Metallica"), seed(2, "Two", "Metallica"), seed(3, "Says", "Nils Frahm")
    assert titled(one) == "Like Metallica – One"
    assert titled(one, more[0]) == "Like 2 songs by Metallica"
    assert titled(one, *more) == "Like 2 songs by Metallica and Nils Frahm – Says"
    others = [seed(i, f"T{i}", f"A{i}") for i in range(4, 9)]
    assert titled(one, *more, *others) == "Like 2 songs by Metallica, Nils Frahm – Says, A4 – T4 and 4 more"
    assert titled(seed(1, None, None, "loose/track07.wav")) == "Like track07.wav"
    road, sandman = seed(4, "Road", "A").track, seed(5, "Enter Sandman", "Metallica").track
    path = [
        Recommendation(i, track, 1.0, 100, "", Explanation("")) for i, track in enumerate((road, one.track, sandman))
    ]
    assert titled(one, to="x", found=path) == "From Road to Enter Sandman in 3 songs"
