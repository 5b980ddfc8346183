"""A corpus as published, in a folder that the user has: finding its files, reading its tables.

Archives get unpacked at different depths, so files are found by the end of their path, wherever below the
folder.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mirclr.data.corpora.description import Corpus
from mirclr.errors import CorpusError
from mirclr.tags import AUDIO_SUFFIXES

_AUDIO = AUDIO_SUFFIXES | {".au"}


class Published:
    """The files of one corpus below one folder.

    Parameters
    ----------
    folder : Path
    corpus : Corpus
        For the text of errors.
    """

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self._folder, self._corpus = folder, corpus
        self._sizes: dict[str, int] = {}
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._used: set[str] = set()
        self._missing: list[str] = []
        self._empty: list[str] = []
        for place, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
            for name in sorted(files):
                if not name.startswith("."):
                    self._add(Path(place) / name)

    def _add(self, file: Path) -> None:
        path = file.relative_to(self._folder).as_posix()
        if file.suffix.lower() in _AUDIO:
            self._sizes[path] = file.stat().st_size if file.is_file() else 0
            self._by_stem[PurePosixPath(path).stem].append(path)

    def table(self, name: str) -> Path:
        """Find one of the corpus' own tables by the end of its path.

        Raises
        ------
        CorpusError
            If it is nowhere below the folder.
        """
        found = self.optional_table(name)
        if found is None:
            raise CorpusError(
                f"{self._folder}: no {name} below it; expected {self._corpus.title} as published "
                f"({self._corpus.homepage})"
            )
        return found

    def optional_table(self, name: str) -> Path | None:
        """Find a table that may be absent; the one nearest to the folder, if there are several."""
        found = sorted(self._folder.rglob(name), key=lambda p: (len(p.parts), p))
        return next((p for p in found if p.is_file()), None)

    def audio(self, listed: str) -> str | None:
        """Find the audio file that a table lists, whatever its format.

        Parameters
        ----------
        listed : str
            The end of its path, with ``/``.

        Returns
        -------
        str or None
            Relative to the folder; None, and reported in `problems`, if it is absent or empty.
        """
        path = self._find(listed)
        if path is None:
            self._missing.append(listed)
            return None
        self._used.add(path)
        if not self._sizes[path]:
            self._empty.append(path)
            return None
        return path

    def has(self, listed: str) -> bool:
        """Whether there is an audio file with that end of its path, whatever its format."""
        return self._find(listed) is not None

    def _find(self, listed: str) -> str | None:
        wanted = f"/{PurePosixPath(listed).with_suffix('')}"
        candidates = self._by_stem.get(PurePosixPath(listed).stem, ())
        return next((path for path in candidates if f"/{path}".rpartition(".")[0].endswith(wanted)), None)

    def problems(self) -> list[str]:
        """What is not as published, one line a kind: listed but missing, empty, there but not listed."""
        extra = [path for path in self._sizes if path not in self._used]
        kinds = (
            ("listed but not there", self._missing),
            ("empty, and left out", self._empty),
            ("there but not listed, and left out", extra),
        )
        return [
            f"{self._folder}: {len(paths)} audio files are {kind}: {', '.join(paths[:3])}"
            + (", …" if len(paths) > 3 else "")
            for kind, paths in kinds
            if paths
        ]


def read_rows(table: Path, columns: Sequence[str], delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Read a table with a header as one dict a row.

    Raises
    ------
    CorpusError
        If a column is absent, or the file is no such table.
    """
    csv.field_size_limit(1 << 24)  # free text in published tables passes the module's 128 KiB
    try:
        with table.open(encoding="utf-8-sig", newline="") as f:
            rows = csv.DictReader(f, delimiter=delimiter)
            rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
            absent = [name for name in columns if name not in rows.fieldnames]
            if absent:
                raise CorpusError(f"{table}: no column {', '.join(absent)}; expected the table as published")
            for row in rows:
                yield {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(f"{table}: not the table as published: {error}") from error
