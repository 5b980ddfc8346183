"""The plugin of beets: songs that sound alike among those of a beets library, and what mirclr knows of them as fields.

In: songs that a query of beets finds. Out: a list of songs as ``beet list`` prints it, a playlist, fields of songs.

beets loads it as ``beetsplug.mirclr``, a module beside this package, where its settings name the plugin::

    plugins: mirclr
    mirclr:
        library: ~/Music/mirclr.db   # mirclr's library; by default the one that the command mirclr takes
        auto: yes                    # listen to songs as they are imported

Contents: `MirclrPlugin`; `BeetsSongs`, which songs of beets are which of mirclr's library.
"""

import optparse
import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from beets import ui
from beets.dbcore import types
from beets.plugins import BeetsPlugin

from mirclr.api import EmbedReport, Library
from mirclr.errors import LibraryError, LibraryNotFound, MirclrError, in_words
from mirclr.library import part_leading_out
from mirclr.recommend import Answer, Query, recommend
from mirclr.recommend.filters import likely_labels
from mirclr.terminal import counted, shown

_USAGE = """
  %prog embed [QUERY]            listen to your songs, once, and write fields
  %prog similar QUERY            list songs that sound like those
  %prog playlist FILE QUERY      write them as a playlist: .m3u8, .xspf or .jspf"""
_NAMED = 5  # files that are named of those that could not be read


class BeetsSongs:
    """Which songs of beets are which tracks of mirclr's library: by their files, wherever links lead to them.

    Parameters
    ----------
    items : iterable of beets.library.Item
        The songs of beets.
    library : Library
        Of mirclr's.
    """

    def __init__(self, items: Iterable[Any], library: Library) -> None:
        self._real_folder = cache(os.path.realpath)
        self._ids: dict[str, list[int]] = {}
        ids, files = library.column("file")
        for i, file in zip(ids.tolist(), files, strict=True):
            self._ids.setdefault(os.path.normcase(file), []).append(i)
        for part in library.parts():
            self._ids.setdefault(os.path.normcase(part.file), []).append(part.id)
        self.of_track: dict[int, Any] = {}
        for item in items:
            self.of_track.update(dict.fromkeys(self.ids(item), item))

    def real(self, item: Any) -> str:
        """The file of a song, by the way that has no links in it."""
        folder, name = os.path.split(os.fsdecode(item.path))
        file = os.path.join(self._real_folder(folder), name)
        return os.path.realpath(file) if os.path.islink(file) else file

    def ids(self, item: Any) -> list[int]:
        """The track of a song; several where its file is one of many songs, none where it was never listened to."""
        return self._ids.get(os.path.normcase(self.real(item)), [])


class MirclrPlugin(BeetsPlugin):
    """``beet mirclr``, and fields: ``mirclr_genre``, ``mirclr_mood``, ``mirclr_bpm``, ``mirclr_key`` and so on."""

    item_types = {  # noqa: RUF012  (as beets has it)
        "mirclr_genre": types.STRING,
        "mirclr_mood": types.STRING,
        "mirclr_bpm": types.FLOAT,
        "mirclr_key": types.STRING,
        "mirclr_loudness": types.FLOAT,
        "mirclr_match": types.INTEGER,
    }

    def __init__(self) -> None:
        super().__init__()
        self.config.add({"library": None, "auto": False})
        self._due: dict[int, None] = {}
        if self.config["auto"].get(bool):
            self.register_listener("album_imported", self._on_album)
            self.register_listener("item_imported", self._on_item)
            self.register_listener("item_moved", self._on_item)
            self.register_listener("cli_exit", self._on_exit)

    def commands(self) -> list[ui.Subcommand]:
        """The one command, with what it does as its first word."""
        command = ui.Subcommand("mirclr", help="songs that sound alike")
        command.parser.usage = _USAGE.replace("%prog", "beet mirclr")
        command.parser.add_path_option()
        command.parser.add_format_option(target="item")
        _add_options(command.parser)
        command.func = self._run
        return [command]

    def _run(self, lib: Any, opts: Any, args: list[str]) -> None:
        verb, *words = args or [""]
        run = {"embed": self._embed, "similar": self._similar, "playlist": self._playlist}.get(verb)
        if run is None:
            found = f"found {shown(verb)}; " if verb else ""
            raise ui.UserError(f"{found}expected one of embed, similar, playlist; see: beet help mirclr")
        try:
            run(lib, opts, words)
        except LibraryNotFound:
            raise ui.UserError("none of your songs was listened to yet; do so with: beet mirclr embed") from None
        except (MirclrError, OSError) as error:
            raise ui.UserError(in_words(error)) from error

    def _library(self, *, create: bool = False) -> Library:
        named = self.config["library"].get()
        return Library.open(None if named is None else self.config["library"].as_filename(), create=create)

    # what it does

    def _embed(self, lib: Any, opts: Any, words: list[str]) -> None:
        items = list(lib.items(words))
        with self._library(create=True) as library:
            report = self._listen(lib, library, items, retry=opts.retry)
            if opts.describe:
                self._describe(library, BeetsSongs(items, library).of_track)
            changed = self._write_fields(library, items)
        ui.print_(f"{report}; fields of {counted(changed, 'song')} changed")

    def _similar(self, lib: Any, opts: Any, words: list[str]) -> None:
        with self._library() as library:
            songs, answer = self._answer(lib, library, opts, words)
        for one in answer.recommendations:
            item = songs.of_track[one.track.id]
            item["mirclr_match"] = one.match  # for formats; never stored
            ui.print_(format(item))

    def _playlist(self, lib: Any, opts: Any, words: list[str]) -> None:
        from mirclr.recommend.playlist import SUFFIXES, write_playlist

        file = Path(os.path.expanduser(words[0])) if words else None
        if file is None or file.suffix.lower() not in SUFFIXES:
            raise ui.UserError(f"expected a playlist's file before the query; it ends in {', '.join(SUFFIXES)}")
        with self._library() as library:
            _, answer = self._answer(lib, library, opts, words[1:])
        if answer.recommendations:
            write_playlist(file, [one.track for one in answer.recommendations], title=file.stem)
            ui.print_(f"wrote {shown(str(file))} ({counted(len(answer.recommendations), 'song')})")

    def _listen(self, lib: Any, library: Library, items: Sequence[Any], *, retry: bool = False) -> EmbedReport:
        """Bring mirclr's library up to date with songs whose files are there."""
        songs = BeetsSongs((), library)
        files = list(dict.fromkeys(map(songs.real, items)))
        there = [file for file in files if os.path.isfile(file)]
        if len(there) < len(files):
            self._log.warning("the files of {} are not there", counted(len(files) - len(there), "song"))
        self._log.info("listening to what is new of {}", counted(len(there), "song"))
        report = library.embed(there, root=os.fsdecode(lib.directory), retry=retry)
        for file, reason in list(report.failures.items())[:_NAMED]:
            self._log.warning("{}: {}", shown(str(file)), shown(reason))
        return report

    def _describe(self, library: Library, ids: Iterable[int]) -> None:
        """Find tempo, key and loudness of tracks, where they are not known."""
        from mirclr.ingest.description import describe_tracks

        known = library.descriptions()
        tracks, problems = part_leading_out(library.tracks([i for i in ids if i not in known]))
        self._log.info("finding tempo and key of {}", counted(len(tracks), "song"))
        problems += [found for _, found in describe_tracks(library, tracks) if isinstance(found, str)]
        for problem in problems[:_NAMED]:
            self._log.warning("{}", shown(problem))

    def _write_fields(self, library: Library, items: Sequence[Any]) -> int:
        """Write what mirclr's library knows of songs into the library of beets; no file is touched."""
        from mirclr.classify.predict import predict_missing

        try:
            predict_missing(library)
        except LibraryError as error:  # no heads for its encoder, or nothing in it
            self._log.debug("{}", error)
        songs = BeetsSongs((), library)
        of_items = [(item, ids[0]) for item in items if len(ids := songs.ids(item)) == 1]
        known = _fields(library, [i for _, i in of_items])
        changed = 0
        for item, i in of_items:
            before = {name: item.get(name) for name in self.item_types if name in item}
            if before != known[i]:
                for name in before.keys() - known[i].keys():
                    del item[name]
                item.update(known[i])
                item.store()
                changed += 1
        return changed

    def _answer(self, lib: Any, library: Library, opts: Any, words: list[str]) -> tuple[BeetsSongs, Answer]:
        """Songs of both libraries that sound like those that a query of beets finds."""
        songs = BeetsSongs(lib.items(), library)
        if not words:
            raise ui.UserError("expected a query: which songs are they to sound like?")
        asked = _asked(opts)
        asked["seeds"] = self._named(songs, lib.items(words), words)
        asked["avoid"] = [i for text in opts.avoid or () for i in self._named(songs, lib.items(text), [text])]
        if opts.to:
            ends = self._named(songs, lib.items(opts.to), [opts.to])
            if len(asked["seeds"]) > 1 or len(ends) > 1:
                found = f"found {len(asked['seeds'])} and {len(ends)}"
                raise ui.UserError(f"--to leads from one song to one other; {found}")
            asked["to"] = ends[0]
        query = Query.of(**asked)
        for line in library.prepare(query):
            self._log.info("{}", line)
        with library.snapshot():
            among = songs.of_track.keys()
            answer = recommend(library, library.index, query, filters=library.filters, among=among)
        for line in answer.remarks:
            self._log.info("{}", line)
        return songs, answer

    def _named(self, songs: BeetsSongs, items: Iterable[Any], words: Sequence[str]) -> list[str]:
        """Songs of beets as a query of mirclr's names them."""
        of_items = {item.id: songs.ids(item) for item in items}
        query = shown(" ".join(words))
        if not of_items:
            raise ui.UserError(f"no song of your beets library matches: {query}")
        ids = dict.fromkeys(i for ids in of_items.values() for i in ids)
        missing = sum(not ids for ids in of_items.values())
        what = f"{missing} of the {counted(len(of_items), 'song')} that match {query}"
        if missing and not ids:
            raise ui.UserError(f"{what} were not listened to yet; do so with: beet mirclr embed")
        if missing:
            self._log.warning("{} were not listened to yet, and do not count; see: beet mirclr embed", what)
        return [f"id:{i}" for i in ids]

    # as songs are imported and moved

    def _on_album(self, lib: Any, album: Any) -> None:
        self._due.update(dict.fromkeys(item.id for item in album.items()))

    def _on_item(self, item: Any, **_: Any) -> None:
        if item.id:
            self._due[item.id] = None

    def _on_exit(self, lib: Any) -> None:
        items = [item for item in map(lib.get_item, self._due) if item is not None]
        self._due.clear()
        if items:
            try:
                with self._library(create=True) as library:
                    self._listen(lib, library, items)
                    self._write_fields(library, items)
            except (MirclrError, OSError) as error:  # what beets was asked for is done
                self._log.warning("{}; later: beet mirclr embed", in_words(error))


def _fields(library: Library, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What is known of tracks, as fields of beets, by track id."""
    likely = {task: likely_labels(library, task, ids) for task in ("genre", "mood")}
    descriptions = library.descriptions(ids)
    found: dict[int, dict[str, Any]] = {}
    for i in ids:
        fields: dict[str, Any] = {f"mirclr_{task}": ", ".join(of[i]) for task, of in likely.items() if of.get(i)}
        if one := descriptions.get(i):
            measured = {"bpm": one.tempo_bpm, "key": one.key, "loudness": one.loudness_lufs}
            fields |= {
                f"mirclr_{name}": round(value, 1) if isinstance(value, float) else value
                for name, value in measured.items()
                if value is not None
            }
        found[i] = fields
    return found


_ASKED = ("n", "length_s", "diversity", "artist_cap", "artist_gap", "seed")
_FILTERS = ("genre", "mood", "vocal", "bpm", "key", "year", "duration_s", "exclude")
_ALLOWED = {
    "same_album": "whether songs of the album of a song that you name may come [no]",
    "versions": "whether several versions of one song may come [no]",
    "fill": "whether to fill the list with what is not alike [no]",
}


def _add_options(parser: optparse.OptionParser) -> None:
    """The options of all that it does; they mean what those of ``mirclr recommend`` do."""
    parser.add_option("-n", type="int", metavar="N", help="how many songs [20]")
    parser.add_option("--length", dest="length_s", metavar="LENGTH", help="fill this time instead: 45m, 1h30m")
    parser.add_option("--not", dest="avoid", action="append", metavar="QUERY", help="stay away from these songs")
    parser.add_option("--to", metavar="QUERY", help="go from the one song to this one, step by step")
    parser.add_option("--diversity", type="float", metavar="0..1", help="how different the songs are")
    parser.add_option("--artist-cap", type="int", metavar="N", help="at most this many songs of one artist [2]")
    parser.add_option("--artist-gap", type="int", metavar="N", help="at least this many others between two of one [3]")
    for name, what in _ALLOWED.items():
        parser.add_option(f"--{name.replace('_', '-')}", choices=("yes", "no"), metavar="yes|no", help=what)
    parser.add_option("--shuffle", dest="seed", type="int", metavar="N", help="another list that is about as good")
    parser.add_option("--genre", action="append", help="only this genre, or one of several")
    parser.add_option("--mood", action="append", help="only this mood, or one of several")
    parser.add_option("--vocal", choices=("yes", "no"), metavar="yes|no", help="only with a voice, or only without")
    parser.add_option("--bpm", metavar="TEMPO", help="only this tempo: 120, 115..125, 'over 120'")
    parser.add_option("--key", metavar="KEY[,compatible]", help="only this key, such as Am or 8A")
    parser.add_option("--year", metavar="YEARS", help="only these years: 1994, 1990s, 'before 1990'")
    parser.add_option("--duration", dest="duration_s", metavar="LENGTH", help="only as long: 3m, 'under 5m'")
    parser.add_option("--exclude", action="append", metavar="RULE", help="not artist:…, album:…, genre:… or path:…")
    parser.add_option("--describe", action="store_true", help="embed: find tempo, key and loudness too")
    parser.add_option("--retry", action="store_true", help="embed: try again what could not be read before")


def _asked(opts: Any) -> dict[str, Any]:
    """What options say, by the names of a query's fields."""
    asked = {name: value for name in (*_ASKED, *_FILTERS) if (value := getattr(opts, name)) is not None}
    if "vocal" in asked:
        asked["vocal"] = asked["vocal"] == "yes"
    return asked | {name: True for name in _ALLOWED if getattr(opts, name) == "yes"}
