"""`LibraryStore`: all that can be asked of a library and written to it."""

from dataclasses import asdict
from typing import Any

from mirclr.errors import LibraryError
from mirclr.library.aspects import Aspects
from mirclr.library.files import is_gone
from mirclr.library.fingerprints import Fingerprints
from mirclr.library.labels import Labels
from mirclr.library.map_points import MapPoints
from mirclr.library.outlines import Outlines
from mirclr.library.places import Places
from mirclr.library.schema import SCHEMA_VERSION
from mirclr.library.song_lists import SongLists
from mirclr.library.stars import Stars
from mirclr.terminal import shown


class LibraryStore(Places, Labels, Outlines, Aspects, Fingerprints, MapPoints, SongLists, Stars):
    """An open library; a context manager. Made by `LibraryStore.open`, used by the thread that opened it.

    What it stores has a class for each subject: `Tracks`, `Vectors`, `Entries` (what embedding writes), `Labels`,
    `Outlines`, `Aspects`, `Fingerprints`, `MapPoints`, `Profiles`, `Places`, `SongLists`, `Stars`. All of them share
    the connection and the transactions of `Database`.
    """

    @property
    def metadata_version(self) -> tuple[object, ...]:
        """Another value whenever tracks, tags, labels or descriptions were written, by whomever."""
        return self.tracks_version, self.probabilities_version, self.descriptions_version

    def info(self) -> dict[str, Any]:
        """Counts and more for people, as JSON values."""
        with self.snapshot():
            counts = self._rows(
                "SELECT COUNT(*) tracks, COUNT(DISTINCT artist) artists, COUNT(DISTINCT album) albums,"
                " TOTAL(duration_s) / 3600 hours, COUNT(remark) remarks FROM track"
            )[0]
            stamp = self.stamp
            return {
                "path": shown(str(self.path)),
                "bytes": self.path.stat().st_size,
                "uuid": self.uuid,
                "generation": self.generation,
                "schema": SCHEMA_VERSION,
                **dict(counts),
                "failures": self._rows("SELECT COUNT(*) FROM failure")[0][0],
                "roots": self.roots(),
                "encoder": asdict(stamp) if stamp else None,
                "tasks": self.tasks(),
            }

    def verify(self) -> list[str]:
        """Check the file, the vectors, and that every track's file is there.

        Returns
        -------
        list of str
            One line a problem; empty when there is none.
        """
        with self.snapshot():
            checked = [row[0] for row in self._rows("PRAGMA integrity_check")]
            problems = [f"the file is damaged: {found}" for found in checked if found != "ok"]
            problems += [f"a row of {row[0]} belongs to no track" for row in self._rows("PRAGMA foreign_key_check")]
            try:
                tracks = self.tracks()
                problems += self._vector_problems({track.id: track.label for track in tracks})
            except LibraryError as error:
                return [*problems, str(error)]
        for track in tracks:
            if is_gone(track.file):
                problems.append(f"track {track.id} ({track.label}): {shown(str(track.file))} is gone")
        return problems
