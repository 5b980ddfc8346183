"""Measure from which probability on a genre may be written into files: ``sure.py --library DB --labels LABELS.csv``.

The library holds labelled music that is never trained on, embedded by the built-in encoder (``mirclr embed DIR
--library DB``). A guess is right where it is the labels' genre or a kind of it, by `KINDS`, as it would be written
(`WRITTEN_AS`): the teachers call most electronic music with a beat "techno". The least threshold above which nine in
ten are right, also at the lower end of what so many songs and artists leave open (`mirclr.classify.sureness`), plus one
step of 0.05, as other music is harder than four clear genres, goes into the header of the built-in heads; the curve
into sure.json, with how right the guesses are on artists by whom the threshold was not chosen. Guesses of genres that
the music does not have, such as jazz, cannot be judged by it, and those of `UNSURE` are too often wrong: they are left
out here, and not written.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.classify import Heads, labelled_library
from mirclr.classify.sureness import find_threshold
from mirclr.models.pretrained import builtin_heads

HERE = Path(__file__).parent
KINDS = {
    "rock": "rock, indie & alternative, metal, punk",
    "pop": "pop, indie & alternative, dance & house, soul & R&B",
    "electronic": "electronic, dance & house, techno, ambient, new age, experimental",
    "classical": "classical, opera & choral",
}
UNSURE = {"pop", "experimental"}  # of whose guesses a third was wrong at 0.6
JUDGED = {kind for kinds in KINDS.values() for kind in kinds.split(", ")} - UNSURE
WRITTEN_AS = {"techno": "electronic"}
STEPS_MORE = 1
DRAWS = 400


def curve(probability: np.ndarray, right: np.ndarray) -> list[dict[str, Any]]:
    """How many songs have a guess at each threshold, and which fraction of these guesses is right."""
    rows = []
    for threshold in np.arange(0.2, 0.96, 0.05):
        above = probability >= threshold
        share = round(float(right[above].mean()), 4) if above.any() else None
        rows.append({"threshold": round(float(threshold), 2), "songs": int(above.sum()), "right": share})
    return rows


def held_out(probability: np.ndarray, right: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """How right guesses are on artists by whom the threshold was not chosen: halves of the artists, drawn many times.

    Half as many songs leave more open, so no threshold may be found, or a higher one.
    """
    artists, of = np.unique(groups.astype(str), return_inverse=True)
    rng, shares, thresholds = np.random.default_rng(0), [], []
    for _ in range(DRAWS):
        chosen = np.isin(of, rng.permutation(len(artists))[: len(artists) // 2])
        found = find_threshold(
            probability[chosen], right[chosen], groups[chosen], measured_on="", steps_more=STEPS_MORE
        )
        others = ~chosen & (probability >= (found.threshold if found else np.inf))
        if found and others.any():
            shares.append(float(right[others].mean()))
            thresholds.append(found.threshold)
    spread = np.round(np.quantile(shares, [0.05, 0.5, 0.95]), 4).tolist() if shares else None
    return {
        "draws": DRAWS,
        "with_a_threshold": len(shares),
        "median_threshold": round(float(np.median(thresholds)), 2) if thresholds else None,
        "right_5_50_95": spread,
    }


def main() -> None:
    """Measure, and put the threshold into the heads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--heads", type=Path, default=builtin_heads())
    parser.add_argument("--results", type=Path, default=HERE / "sure.json")
    asked = parser.parse_args()
    found, encoder = labelled_library(asked.library, asked.labels)
    heads = Heads.load(asked.heads)
    if not heads.are_of(encoder):
        raise SystemExit(f"{asked.library}: its vectors are not of the heads' encoder")
    p = heads.predict_proba(found.vectors)["genre"]
    names, probability = heads.tasks["genre"].labels, p.max(axis=1)
    guesses = [names[best] for best in p.argmax(axis=1)]
    right = np.array([g in KINDS[label].split(", ") for g, label in zip(guesses, found.labels.genre, strict=True)])
    on = f"on songs of {', '.join(sorted(KINDS)[:-1])} and {sorted(KINDS)[-1]}; other music may do worse"
    judged = np.array([g in JUDGED for g in guesses])
    probability, right, groups = probability[judged], right[judged], found.labels.groups[judged]
    sure = find_threshold(probability, right, groups, measured_on=on, steps_more=STEPS_MORE)
    heads.sureness = replace(sure, genres=tuple(sorted(JUDGED))) if sure else None
    guesses = [guess for guess, one in zip(guesses, judged, strict=True) if one]
    heads.written_as = WRITTEN_AS
    heads.save(asked.heads)
    by_genre = {
        name: curve(probability[of], right[of])
        for name in sorted(set(guesses))
        if (of := np.array([guess == name for guess in guesses])).sum() >= 10
    }
    results = {
        "encoder": encoder.digest,
        "sureness": heads.sureness and heads.sureness.to_json(),
        "held_out": held_out(probability, right, groups),
        "curve": curve(probability, right),
        "by_guess": by_genre,
    }
    asked.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results["sureness"]))


if __name__ == "__main__":
    main()
