"""`like`: whether other versions of a song are found by its harmony, and drummers' styles by their rhythm; `like_many`:
how fast.

Folders of `like` are named in the environment, as those of `transcribe`; that of soundfonts holds
``MuseScore_General_Lite.sf3`` too (Debian: musescore-general-soundfont-small). Renders are kept below MIRCLR_SCRATCH,
where that is named, and not made again.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import mirclr
from mirclr.errors import NoMatch
from mirclr.ingest.description import describe_tracks, undescribed
from mirclr.library import Description
from mirclr.library.aspects import ASPECTS
from mirclr.recommend import Query, recommend
from tests.benchmarks.measuring import load
from tests.benchmarks.recommending import fill, timed
from tests.benchmarks.transcribing import FONTS, MIDI, recipe_module

SECONDS, PACE = 80.0, 0.08
FONT_NAMES = ("FluidR3_GM.sf2", "MuseScore_General_Lite.sf3")
KINDS = {"piano": (0, 0), "other piano": (1, 8), "band": (1, 16)}
"""By kind of version its soundfont, and the beat that it begins at."""
WAYS = {
    "timbre": (),
    "harmony": ("harmony",),
    "rhythm": ("rhythm",),
    "harmony 0.7, timbre 0.3": ("harmony=0.7", "timbre=0.3"),
    "rhythm 0.7, timbre 0.3": ("rhythm=0.7", "timbre=0.3"),
}
_SHORTEST_S = 16.0
_OF_EACH = 6


def like() -> dict[str, Any]:
    """How often the nearest song is the same one by other instruments, in another key and tempo; or of one style."""
    if missing := [name for name in (MIDI, FONTS) if name not in os.environ]:
        raise SystemExit(f"like: name folders by {' and '.join(missing)}")
    with tempfile.TemporaryDirectory() as passing:
        folder = Path(os.environ["MIRCLR_SCRATCH"], "like") if "MIRCLR_SCRATCH" in os.environ else Path(passing)
        return measured("valid", ("validation", "test"), folder) | {"load": load()}


def like_many() -> dict[str, Any]:
    """Milliseconds that a query takes among 100,000 tracks, in one warm process, by timbre and by other aspects."""
    n, rng = 100_000, np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as folder, mirclr.Library.open(Path(folder) / "l.db", create=True) as library:
        fill(library, n)
        songs = {name: rng.standard_normal((n // 50, size)) for name, size in ASPECTS.items()}
        for at in range(1, n + 1, 5000):
            versions = {
                i: {
                    name: rows[i % len(rows)] + 0.5 * rng.standard_normal(rows.shape[1]) for name, rows in songs.items()
                }
                for i in range(at, at + 5000)
            }
            library.store_descriptions({i: Description(120.0, "C", 0.5, -10.0, None, v) for i, v in versions.items()})
        seeds = rng.integers(0, n, 200)
        timed(library, seeds, {})
        return {
            "tracks": n,
            "ms": {name: timed(library, seeds, {"like": way}) for name, way in WAYS.items()},
            "aim": "well under 100 ms",
            "load": load(),
        }


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
    """Render performances of drums, few of each drummer in a style; by name their style and drummer."""
    songs = recipe_module("songs")
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    counts: Counter[tuple[str, str]] = Counter()
    for one in songs.performances(Path(os.environ[MIDI], "groove"), splits):
        if not one.beat or max(end for _, end, _, _ in songs.drum_part(one).notes) < _SHORTEST_S:
            continue
        drummer = one.file.parts[-3]
        counts[drummer, one.style.split("/")[0]] += 1
        if counts[drummer, one.style.split("/")[0]] > _OF_EACH:
            continue
        rng = np.random.default_rng([32, len(found), len(splits)])
        name = f"{len(found):04d}"
        _write(out / f"{name}.flac", songs.by_drums(one, rng, SECONDS), len(found) % 2, rng)
        found[name] = one.style, drummer
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
    """All of some tracks, the most alike to one of them first, as `recommend` has them; none of one without chords."""
    query = Query(seeds=(f"id:{seed}",), n=len(among), artist_cap=0, artist_gap=0, versions=True, fill=True, like=like)
    try:
        answer = recommend(library, library.index, query, filters=library.filters, among=among)
    except NoMatch:
        return []
    return [r.track.id for r in answer.recommendations]


def of_twins(library: mirclr.Library, pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """How often the first of all versions is the other one of a song, the mean of 1 / its rank, and how often it is the
    first among those of its own kind.
    """
    every = [i for pair in pairs for i in pair]
    twin = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    kinds = [{pair[side] for pair in pairs} for side in (0, 1)]
    found: dict[str, Any] = {}
    for name in ("timbre", "harmony", "harmony 0.7, timbre 0.3"):
        ranks, of_its_kind = [], []
        for i in every:
            listed = ranked(library, i, every, WAYS[name])
            ranks.append(listed.index(twin[i]) + 1 if twin[i] in listed else np.inf)
            its = next(kind for kind in kinds if twin[i] in kind)
            of_its_kind.append(next((j for j in listed if j in its), None) == twin[i])
        found[name] = {
            "first": _rounded(np.mean(np.array(ranks) == 1)),
            "mrr": _rounded(np.mean(1 / np.array(ranks))),
            "first of its kind": _rounded(np.mean(of_its_kind)),
        }
    return found | {"chance": {"first": _rounded(1 / (len(every) - 1)), "first of its kind": _rounded(1 / len(pairs))}}


def of_styles(library: mirclr.Library, of: dict[int, tuple[str, str]]) -> dict[str, Any]:
    """How often the first performance by another drummer is of the same style, and the mean average precision."""
    beating = set(library.filters.aspect("rhythm").ids.tolist())
    found: dict[str, Any] = {"asked": len(of), "without a beat": len(of) - len(beating & of.keys())}
    of = {i: one for i, one in of.items() if i in beating}
    for name in ("timbre", "rhythm", "rhythm 0.7, timbre 0.3"):
        way = WAYS[name]
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
