"""The figures in README.md are those of the files that it names."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_results_is_the_recipe_s():
    results = json.loads((ROOT / "recipes" / "debian_ntxent" / "results.json").read_text(encoding="utf-8"))
    probes = {row["features"]: row["figures"] for row in results["probe"]["rows"]}
    artist = {r["features"]: r for r in results["retrieval"]["rows"] if r["relevant"] == "same artist"}
    names = {
        "encoder.safetensors": "`debian_ntxent`",
        "MFCC statistics": "MFCC statistics",
        "random weights": "random weights",
    }
    for features, shown in names.items():
        genre = next(f for f in probes[features] if f["task"] == "genre")
        mood = next(f for f in probes[features] if f["label"] == "mean")
        cells = (
            genre["values"]["accuracy"],
            mood["values"]["pearson_r"],
            artist[features]["map_z"],
            artist[features]["hit_z"],
        )
        assert f"| {shown} | {' | '.join(f'{c:.3f}' for c in cells)} |" in README
    chance = (
        genre["chance"]["accuracy"],
        mood["chance"]["pearson_r"],
        artist["chance"]["map"],
        artist["chance"]["hit"],
    )
    assert f"| chance | {' | '.join(f'{c:.3f}' for c in chance)} |" in README


def test_the_rates_are_the_benchmarks():
    results = ROOT / "tests" / "benchmarks" / "results"
    embed, train = (json.loads((results / f"{name}.json").read_text()) for name in ("embed", "train"))
    assert f"{embed['ratio']:.2f} times" in README
    assert f"{embed['tracks_per_s_best']:.0f} tracks a second" in README
    assert f"{train['ratio']:.2f} of" in README
