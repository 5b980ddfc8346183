"""Lists of songs that a library keeps: names, order, and what becomes of them when songs go."""

import pytest

from mirclr.errors import LibraryError
from mirclr.library import Description, SongList
from mirclr.recommend.mix import mix_order
from tests.commands import exits, invoke
from tests.library_of import library_of


@pytest.fixture
def store(tmp_path):
    with library_of(tmp_path, [{"title": f"T{n}"} for n in range(5)]) as store:
        yield store


def test_a_list_is_kept_in_its_order_with_repeats(store) -> None:
    made = store.add_song_list("Abend", [3, 1, 3, 99], now_s=5.0, comment="leise")
    assert store.song_list_ids(made) == [3, 1, 3]
    assert store.song_list(made) == SongList(made, "Abend", 5.0, 5.0, "leise", 3, 102.0 + 100.0 + 102.0)
    assert store.find_song_list("Abend") == store.song_list(made)
    assert store.find_song_list("abend") is None
    store.change_song_list(made, now_s=7.0, ids=[2])
    assert store.song_list_ids(made) == [2]
    assert store.song_list(made) == SongList(made, "Abend", 5.0, 7.0, "leise", 1, 101.0)


def test_names_are_of_one_list_each(store) -> None:
    a, b = (store.add_song_list(name, [1], now_s=1.0) for name in "ab")
    with pytest.raises(LibraryError, match="already"):
        store.add_song_list("a", [], now_s=1.0)
    with pytest.raises(LibraryError, match="already"):
        store.change_song_list(b, now_s=2.0, name="a")
    assert store.song_list(b).changed_s == 1.0  # all of a change, or nothing
    store.change_song_list(b, now_s=2.0, name="c", comment="x")
    assert [(one.name, one.comment) for one in store.song_lists()] == [("a", ""), ("c", "x")]
    with pytest.raises(LibraryError, match="holds no list"):
        store.change_song_list(77, now_s=1.0)
    assert store.delete_song_list(a)
    assert not store.delete_song_list(a)
    assert store.add_song_list("a", [], now_s=1.0) > b  # an id is never another list's


def test_a_song_that_goes_leaves_its_lists(store) -> None:
    made = store.add_song_list("x", [1, 2, 3, 2], now_s=1.0)
    store.remove([2])
    assert store.song_list_ids(made) == [1, 3]
    store.delete_song_list(made)
    assert len(store.tracks()) == 4


def test_the_commands_know_lists_of_ones_own(store, tmp_path, capsys) -> None:
    store.add_song_list("Abend", [3, 1, 2], now_s=1.0)
    store.store_descriptions({i: Description(100.0 - i, "Am", 0.9, -12.0) for i in (1, 2, 3)})
    library = ("--library", store.path)
    assert "3 songs of your own" in invoke(["playlist", "list", *library]).stdout
    shown = invoke(["playlist", "show", "Abend", *library]).stdout.splitlines()
    assert [line.split("\t")[2] for line in shown] == ["T2", "T0", "T1"]
    assert invoke(["playlist", "mix", "Abend", *library, "-o", tmp_path / "x.m3u8"]).exit_code == 0
    mixed = [line[-7:] for line in (tmp_path / "x.m3u8").read_text().splitlines() if line[0] != "#"]
    assert mixed == [one.track.path for one in mix_order(store, [1, 2, 3])]
    assert "is not made anew" in exits(capsys, "playlist", "refresh", "Abend", *library)[2]
    assert "of your own called Abend" in exits(capsys, "recommend", "T1", "--save", "Abend", *library)[2]
    invoke(["playlist", "delete", "Abend", *library])
    assert store.song_lists() == []
