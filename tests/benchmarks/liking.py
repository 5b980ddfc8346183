"""`like`: whether other versions of a song are found by its harmony, and drummers' styles by their rhythm.

Folders are named in the environment, as for `transcribe`; that of soundfonts holds ``MuseScore_General_Lite.sf3`` too
(Debian: musescore-general-soundfont-small).
"""

import os
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import mirclr
from mirclr.ingest.description import describe_tracks, undescribed
from mirclr.recommend import Query, recommend
from tests.benchmarks.measuring import load
from tests.benchmarks.transcribing import FONTS, MIDI, recipe_module

SECONDS, PACE = 80.0, 0.08
FONT_NAMES = ("FluidR3_GM.sf2", "MuseScore_General_Lite.sf3")
KINDS = {"piano": (0, 0), "other piano": (1, 8), "band": (1, 16)}
"""By kind of version its soundfont, and the beat that it begins at."""
WAYS = {
    "timbre": ("timbre",),
    "harmony": ("harmony",),
    "rhythm": ("rhythm",),
    "harmony 0.7, timbre 0.3": ("harmony=0.7", "timbre=0.3"),
    "rhythm 0.7, timbre 0.3": ("rhythm=0.7", "timbre=0.3"),
}
_SHORTEST_S = 16.0


def like() -> dict[str, Any]:
    """How often the nearest song is the same one by other instruments, in another key and tempo; or of one style."""
    if missing := [name for name in (MIDI, FONTS) if name not in os.environ]:
        raise SystemExit(f"like: name folders by {' and '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        return measured("valid", ("validation", "test"), Path(folder)) | {"load": load()}


def measured(split: str, drummers: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Songs of a split of POP909, and performances of some of Groove's, rendered into a folder where they are not."""
    results: dict[str, Any] = {"seconds of each": SECONDS, "tempo": f"by up to {PACE:.0%} another", "seed": 31}
    found = versions(folder / "songs", split, drummers)
    results["songs"] = len(found) // len(KINDS)
    with ready(folder / "songs", folder / "songs.db") as library:
        ids = {t.path.removesuffix(".flac"): t.id for t in library.tracks()}
        for a, b in (("piano", "other piano"), ("piano", "band"), ("other piano", "band")):
            pairs = [(ids[f"{n}-{a}"], ids[f"{n}-{b}"]) for n in sorted({name.split("-")[0] for name in found})]
            results[f"{a} and {b}"] = of_twins(library, pairs)
    styles = performed(folder / "drums", drummers)
    with ready(folder / "drums", folder / "drums.db") as library:
        by_id = {t.id: styles[t.path.removesuffix(".flac")] for t in library.tracks()}
        broad = {i: (style.split("/")[0], drummer) for i, (style, drummer) in by_id.items()}
        results["performances of drums"] = len(by_id)
        results["style, by another drummer"] = of_styles(library, broad)
        grooves = {i: one for i, one in by_id.items() if "/groove" in one[0]}
        results["groove, by another drummer"] = of_styles(library, grooves)
    return results


def versions(out: Path, split: str, drummers: tuple[str, ...]) -> list[str]:
    """Render all versions of the songs of a split; their names."""
    songs = recipe_module("songs")
    pop909, groove = Path(os.environ[MIDI], "pop909"), Path(os.environ[MIDI], "groove")
    performances = songs.performances(groove, drummers)
    out.mkdir(parents=True, exist_ok=True)
    names = []
    for number in songs.song_numbers(pop909, split):
        for at, (kind, (font, first)) in enumerate(KINDS.items()):
            rng = np.random.default_rng([31, int(number), at])
            pace = float(rng.uniform(1 - PACE, 1 + PACE)) if at else 1.0
            if kind == "band":
                piece = songs.by_band(pop909, number, performances, rng, SECONDS, pace, first)
            else:
                piece = songs.on_piano(pop909, number, rng, SECONDS, pace, first)
            names.append(f"{number}-{kind}")
            _write(out / f"{names[-1]}.flac", piece, font, rng)
    return names


def performed(out: Path, splits: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Render performances of drums; by name their style and drummer."""
    songs = recipe_module("songs")
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    beats = [one for one in songs.performances(Path(os.environ[MIDI], "groove"), splits) if one.beat]
    for i, one in enumerate(beats):
        if max(end for _, end, _, _ in songs.drum_part(one).notes) < _SHORTEST_S:
            continue
        rng = np.random.default_rng([32, i])
        name = f"{i:04d}"
        found[name] = one.style, next(part for part in one.file.parts if part.startswith("drummer"))
        _write(out / f"{name}.flac", songs.by_drums(one, rng, SECONDS), i % 2, rng)
    return found


def _write(file: Path, piece: Any, font: int, rng: np.random.Generator) -> None:
    play = recipe_module("play")
    if not file.exists():
        wave = play.rendered(piece, Path(os.environ[FONTS], FONT_NAMES[font]), rng, SECONDS)
        soundfile.write(file, wave, play.RATE)


def ready(folder: Path, path: Path) -> mirclr.Library:
    """A library of a folder, embedded and described."""
    library = mirclr.Library.open(path, create=True)
    library.embed(folder)
    tracks, _, _ = undescribed(library, False)
    with closing(describe_tracks(library, tracks)) as results:
        for _ in results:
            pass
    return library


def ranked(library: mirclr.Library, seed: int, among: Sequence[int], like: tuple[str, ...]) -> list[int]:
    """All of some tracks, the most alike to one of them first, as `recommend` has them."""
    query = Query(seeds=(f"id:{seed}",), n=len(among), artist_cap=0, artist_gap=0, versions=True, fill=True, like=like)
    answer = recommend(library, library.index, query, filters=library.filters, among=among)
    return [r.track.id for r in answer.recommendations]


def of_twins(library: mirclr.Library, pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """How often the first of all versions is the other one of a song, and the mean of 1 / its rank."""
    every = [i for pair in pairs for i in pair]
    twin = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    found: dict[str, Any] = {}
    for name, way in WAYS.items():
        ranks = [ranked(library, i, every, way).index(twin[i]) + 1 for i in every]
        found[name] = {"first": _rounded(np.mean(np.array(ranks) == 1)), "mrr": _rounded(np.mean(1 / np.array(ranks)))}
    return found | {"chance": {"first": _rounded(1 / (len(every) - 1))}}


def of_styles(library: mirclr.Library, of: dict[int, tuple[str, str]]) -> dict[str, Any]:
    """How often the first performance by another drummer is of the same style, and the mean average precision."""
    beating = set(library.filters.aspect("rhythm").ids.tolist())
    found: dict[str, Any] = {"asked": len(of), "without a beat": len(of) - len(beating & of.keys())}
    of = {i: one for i, one in of.items() if i in beating}
    for name, way in WAYS.items():
        if "harmony" in name:
            continue
        firsts, precisions, chances = [], [], []
        for i, (style, drummer) in of.items():
            others = [j for j, (_, other) in of.items() if other != drummer]
            same = {j for j in others if of[j][0] == style}
            if same:
                listed = ranked(library, i, [i, *others], way)
                firsts.append(listed[0] in same)
                at = 1 + np.flatnonzero(np.isin(listed, list(same)))
                precisions.append(np.mean((1 + np.arange(len(at))) / at))
                chances.append(len(same) / len(others))
        found[name] = {"first": _rounded(np.mean(firsts)), "map": _rounded(np.mean(precisions))}
        found["chance"] = {"first": _rounded(np.mean(chances))}
    return found


def _rounded(value: Any) -> float:
    return round(float(value), 3)
