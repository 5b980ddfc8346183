"""Corpora: what data_manifests/ knows, how to obtain it, and how to read what was published into a manifest.

A corpus either is fetched (``debian-games``, its part ``debian-games/demo``, ``debian-more``) or is read from a
folder that the user has. Each layout is one module: `CORPUS` describes it, `read` reads it.

Contents: `known_corpora`, `find_manifest`, `fetch_corpus`, `package_count`, `read_corpus`.
"""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from mirclr.data.corpora import debian, emotify, fma, gtzan, jamendo, magnatagatune
from mirclr.data.corpora.debian import Progress
from mirclr.data.corpora.description import Corpus, Fetched, Reading
from mirclr.data.manifest import Track, read_manifest
from mirclr.errors import CorpusError
from mirclr.provenance import data_dir, shipped_dir

__all__ = [
    "Corpus",
    "Fetched",
    "Progress",
    "Reading",
    "fetch_corpus",
    "find_manifest",
    "known_corpora",
    "package_count",
    "read_corpus",
]

_READERS: dict[str, tuple[Corpus, Callable[[Path], Reading]]] = {
    layout.CORPUS.name: (layout.CORPUS, layout.read) for layout in (emotify, fma, gtzan, jamendo, magnatagatune)
}


def known_corpora() -> list[Corpus]:
    """Every corpus that mirclr knows, by name."""
    return sorted([*debian.CORPORA, *(c for c, _ in _READERS.values())], key=lambda c: c.name)


def find_manifest(name: str) -> tuple[Path, Path]:
    """Find a corpus that was fetched to its default place.

    Parameters
    ----------
    name : str
        Such as ``debian-games`` or ``debian-games/demo``.

    Returns
    -------
    manifest, audio_root : Path

    Raises
    ------
    CorpusError
        If it is not known, or was not fetched.
    """
    root, manifest = _place(name)
    if not manifest.is_file():
        raise CorpusError(f"{name}: not there yet (no {manifest}); obtain it with: mirclr corpus fetch {name}")
    return manifest, root


def fetch_corpus(name: str, to: Path | None = None, on_progress: Progress = lambda steps, note: None) -> Fetched:
    """Obtain a corpus, checking every digest. What is there already is left as it is.

    Parameters
    ----------
    name : str
        Such as ``debian-games`` or ``debian-games/demo``.
    to : Path, optional
        Folder for the audio and the manifest; by default the corpus' own in the user's data directory.
    on_progress : callable
        Called ``(steps, note)`` as each of `package_count` packages begins (0) and ends (1).

    Raises
    ------
    CorpusError
        If it is not known, is not one to fetch, or nothing of it can be obtained.
    """
    root, manifest = _place(name, to)
    fetched = debian.fetch_tracks(_known(name).name, _published(name), root, manifest, on_progress)
    if manifest.name == _file_name(_known(name).name):  # whoever has the whole has its parts
        for subset in (f"{name}/{part}" for part in _known(name).subsets):
            debian.write_obtained(_published(subset), root, _place(subset, to)[1])
    return fetched


def package_count(name: str) -> int:
    """How many packages a corpus is fetched from, for progress displays."""
    return len(debian.packages_of(_published(name)))


def read_corpus(name: str, folder: Path) -> Reading:
    """Read a published corpus from a folder that the user has into tracks, official splits kept.

    Raises
    ------
    CorpusError
        If it is not known, is not one to read, or the folder lacks what the corpus publishes.
    """
    _known(name)
    if name not in _READERS:
        raise CorpusError(f"{name}: this corpus is fetched, not read from a folder: mirclr corpus fetch {name}")
    if not folder.is_dir():
        raise CorpusError(f"{folder}: not a folder; expected the one that {name} was unpacked to")
    return _READERS[name][1](folder)


def _known(name: str) -> Corpus:
    for corpus in known_corpora():
        if name in (corpus.name, *(f"{corpus.name}/{subset}" for subset in corpus.subsets)):
            return corpus
    known = [c.name for c in known_corpora()]
    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise CorpusError(f"no corpus {name!r}; {meant}those known are: {', '.join(known)}")


def _place(name: str, to: Path | None = None) -> tuple[Path, Path]:
    """Folder and manifest of a corpus that can be fetched."""
    corpus = _known(name)
    if corpus.obtained != "apt":
        raise CorpusError(
            f"{name}: mirclr cannot fetch it; obtain it from {corpus.homepage}, then: "
            f"mirclr corpus read {name} FOLDER -o tracks.jsonl"
        )
    root = data_dir() / "corpora" / corpus.name if to is None else to
    return root.absolute(), root.absolute() / _file_name(name)


def _file_name(name: str) -> str:
    return f"{name.partition('/')[2] or 'tracks'}.jsonl"


def _published(name: str) -> list[Track]:
    """The tracks that a corpus to fetch should have."""
    _place(name)
    return read_manifest(shipped_dir("data_manifests") / _known(name).name / _file_name(name))
