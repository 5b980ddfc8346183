"""Lists into the queue of a real MPD on loopback, whose music folder is and is not that of the library."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mirclr.errors import PlayerError
from mirclr.library import Entry, LibraryStore, LibraryTrack
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend.mpd import MpdAddress, append_to_mpd
from mirclr.tags import Tags
from tests.commands import exits
from tests.conftest import tone

mpd = pytest.importorskip("mpd")

SONGS = {
    "Ána & Co/Snö/01 Is.wav": 3.0,
    "Ána & Co/Snö/02 'Quoted' \"twice\" \\ back.wav": 4.0,
    "Band/Best of/01 Intro.wav": 5.0,
    "Band/Live/long album.wav": 9.0,
    "loose.wav": 6.0,
}
SHEET = """FILE "long album.wav" WAVE
TRACK 01 AUDIO
INDEX 01 00:00:00
TRACK 02 AUDIO
INDEX 01 00:02:37
"""
SETTINGS = """
music_directory "{music}"
db_file "{home}/database"
state_file "{home}/state"
bind_to_address "127.0.0.1"
bind_to_address "{home}/socket"
port "{port}"
password "secret@read,add,control,admin"
default_permissions "read,add,control,admin"
audio_output {{
    type "null"
    name "nothing"
}}
"""


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The music folder of the MPD."""
    root = tmp_path_factory.mktemp("mpd_music").resolve()
    for number, (place, seconds) in enumerate(SONGS.items()):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        tone(root / place, 200 + 50 * number, seconds)
    (root / "Band/Live/long album.cue").write_text(SHEET, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def served(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MpdAddress, Path]]:
    """A running MPD, which has scanned its folder: its address and its socket."""
    if not (program := shutil.which("mpd")):
        pytest.skip("mpd is not installed; on Debian: apt install mpd")
    home = tmp_path_factory.mktemp("mpd").resolve()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (home / "mpd.conf").write_text(SETTINGS.format(music=music, home=home, port=port), encoding="utf-8")
    process = subprocess.Popen([program, "--no-daemon", str(home / "mpd.conf")], stderr=subprocess.DEVNULL)
    try:
        address = MpdAddress("127.0.0.1", port)
        client = connected(address, process)
        client.update()
        while "updating_db" in client.status():
            client.idle("update")
        client.disconnect()
        yield address, home / "socket"
    finally:
        process.terminate()
        process.wait()


def connected(address: MpdAddress, process: "subprocess.Popen[bytes] | None" = None) -> "mpd.MPDClient":
    """A client, once it answers."""
    client = mpd.MPDClient()
    while process is None or process.poll() is None:
        try:
            client.connect(address.host, address.port)
            return client
        except OSError:
            assert process is not None
    pytest.skip(f"mpd does not run here (it ended with {process.returncode})")


@pytest.fixture
def address(served: tuple[MpdAddress, Path]) -> MpdAddress:
    """Of an MPD with an empty queue."""
    client = connected(served[0])
    client.clear()
    client.disconnect()
    return served[0]


def queued(address: MpdAddress) -> list[str]:
    client = connected(address)
    try:
        return [song["file"] for song in client.playlistinfo()]
    finally:
        client.disconnect()


def tracks_at(root: Path, *places: str) -> list[LibraryTrack]:
    """Tracks of a library with this root, whose files need not be there."""
    return [
        LibraryTrack(i, str(root), place, SONGS[place], None, None, None, None, None, None, "")
        for i, place in enumerate(places or SONGS, 1)
    ]


@pytest.mark.parametrize("root", ["/elsewhere/mounted", "/", "/music/of mine"])
def test_songs_are_queued_in_their_order_wherever_the_folder_lies(address: MpdAddress, root: str):
    places = list(SONGS)[::-1]
    assert append_to_mpd(address, tracks_at(Path(root), *places)) == []
    assert queued(address) == places
    append_to_mpd(address, tracks_at(Path(root), places[1]))
    assert queued(address) == [*places, places[1]]


def test_a_library_may_hold_a_part_of_the_folder_of_mpd(address: MpdAddress):
    """Its root is /x there, and a folder inside the music folder of MPD, whose name is no part of it."""
    inner = [replace(t, path=t.path.partition("/")[2], root="/x") for t in tracks_at(Path("/x"), *list(SONGS)[:2])]
    assert append_to_mpd(address, inner) == []
    assert queued(address) == list(SONGS)[:2]


def test_a_song_of_the_same_name_is_another_song(address: MpdAddress):
    other = replace(
        tracks_at(Path("/m"), "Band/Best of/01 Intro.wav")[0], path="Others/Best of/01 Intro.wav", duration_s=200
    )
    alone = replace(tracks_at(Path("/m"), "loose.wav")[0], path="folder/loose.wav", duration_s=90.0)
    held = tracks_at(Path("/m"), "Band/Best of/01 Intro.wav")[0]
    assert append_to_mpd(address, [other, held, alone]) == [other, alone]
    assert queued(address) == ["Band/Best of/01 Intro.wav"]


def test_a_part_of_a_file_is_queued_as_that_part(address: MpdAddress):
    whole = tracks_at(Path("/m"), "Band/Live/long album.wav")[0]
    part = replace(whole, path=f"{whole.path}/2", audio_path=whole.path, start_s=2.5, duration_s=4.0)
    assert append_to_mpd(address, [part]) == []
    client = connected(address)
    (song,) = client.playlistinfo()
    client.disconnect()
    assert (song["file"], song["range"]) == ("Band/Live/long album.wav", "2.500-6.500")


@pytest.mark.parametrize("name", ["a\nclear.wav", "un\udcffdecodable.wav", "\0.wav", 'not "there".wav', ""])
def test_names_that_it_cannot_hold_are_missing(address: MpdAddress, name: str):
    append_to_mpd(address, tracks_at(Path("/m"), "loose.wav"))
    track = replace(tracks_at(Path("/m"), "loose.wav")[0], path=f"x/{name}")
    assert append_to_mpd(address, [track]) == [track]
    assert queued(address) == ["loose.wav"]


def test_its_own_socket_tells_where_its_folder_is(
    served: tuple[MpdAddress, Path], address: MpdAddress, music: Path, tmp_path: Path
):
    """And takes a file of this machine that lies outside it."""
    tone(tmp_path / "outside.wav", 300)
    outside = replace(tracks_at(tmp_path, "loose.wav")[0], path="outside.wav")
    wanted = [*tracks_at(music), outside]
    assert append_to_mpd(MpdAddress.parse(str(served[1])), wanted) == []
    assert queued(address) == [*SONGS, str(tmp_path / "outside.wav")]
    assert append_to_mpd(address, [outside]) == [outside]


def test_what_it_refuses_is_a_line(address: MpdAddress):
    with pytest.raises(PlayerError, match=r"refuses: incorrect password; with a password: PASSWORD@HOST") as refused:
        append_to_mpd(replace(address, password="wrong"), [])
    assert "wrong" not in str(refused.value)
    append_to_mpd(replace(address, password="secret"), [])


def test_nobody_and_another_who_answers_are_lines():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(PlayerError, match=rf"no MPD answers at 127.0.0.1:{port}: .*refused"):
        append_to_mpd(MpdAddress("127.0.0.1", port), [])
    with pytest.raises(PlayerError, match="no MPD answers at /nowhere/socket: "):
        append_to_mpd(MpdAddress("/nowhere/socket"), [])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("pc", MpdAddress("pc")),
        (" pc:6601 ", MpdAddress("pc", 6601)),
        (":6601", MpdAddress("localhost", 6601)),
        ("word@pc", MpdAddress("pc", password="word")),
        ("p@:w@pc:1", MpdAddress("pc", 1, "p@:w")),
        ("::1", MpdAddress("::1")),
        ("[::1]:70", MpdAddress("::1", 70)),
        ("/run/mpd/socket", MpdAddress("/run/mpd/socket")),
        ("word@/run/mpd/socket", MpdAddress("/run/mpd/socket", password="word")),
        ("@mpd", MpdAddress("@mpd")),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, address: MpdAddress):
    assert MpdAddress.parse(text) == address
    assert MpdAddress.parse(str(address)) == replace(address, password=None)


@pytest.mark.parametrize("text", ["", " ", "pc:", "pc:0", "pc:65536", "pc:x", "pc:²", "word@"])
def test_what_is_no_address_is_none(text: str):
    with pytest.raises(ValueError, match="found"):
        MpdAddress.parse(text)


@pytest.fixture
def library_path(tmp_path: Path) -> Path:
    """A library of the songs of MPD, and one that it does not have; all sound alike."""
    path = tmp_path / "lib.db"
    rows = np.random.default_rng(0).normal(size=(len(SONGS) + 1, 16)).astype(np.float32) + 2
    with LibraryStore.open(path, create=True) as library:
        library.bind(EncoderStamp("d" * 32, "none", 16, 1, {}))
        library.write(
            entries=[
                Entry("/m", place, 1, 1, f"f{i}", f"a{i}", seconds, Tags(title=Path(place).stem, artist=f"A{i}"), row)
                for i, ((place, seconds), row) in enumerate(
                    zip([*SONGS.items(), ("new.wav", 50.0)], rows / np.linalg.norm(rows, axis=1)[:, None], strict=True)
                )
            ]
        )
    return path


def test_a_list_and_a_saved_one_are_appended(
    address: MpdAddress, library_path: Path, capsys: pytest.CaptureFixture[str]
):
    asked = ("recommend", "loose", "--fill", "yes", "--library", library_path, "--mpd", address, "--save", "all")
    code, _, err = exits(capsys, *asked)
    assert code == 0
    assert f"appended 4 songs to the queue of MPD at {address}" in err
    assert "it does not hold 1 song (A5 – new); to let it look for what is new: mpc update" in err
    assert sorted(queued(address)) == sorted(set(SONGS) - {"loose.wav"})
    code, _, err = exits(capsys, "playlist", "refresh", "all", "--library", library_path, "--mpd", address)
    assert code == 0
    assert len(queued(address)) == 8


def test_where_it_holds_none_that_is_said(address: MpdAddress, library_path: Path, capsys: pytest.CaptureFixture[str]):
    with LibraryStore.open(library_path) as library:
        library.remove([t.id for t in library.tracks() if t.path not in ("loose.wav", "new.wav")])
    code, _, err = exits(capsys, "recommend", "loose", "--fill", "yes", "--library", library_path, "--mpd", address)
    assert code != 0
    assert err.splitlines()[-1].startswith(f"mirclr: MPD at {address} holds none of these songs; ")
    code, _, err = exits(capsys, "recommend", "x", "--mpd", "pc:x", "--library", library_path)
    assert (code, "found 'x'; expected 1 to 65535" in err) == (2, True)
