"""The figures in README.md, in the cards of recipes and in that of benchmarks are those of the files that they name."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import click

from tests.commands import COMMANDS, group

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BENCHMARKS = (ROOT / "tests" / "benchmarks" / "README.md").read_text(encoding="utf-8")


def test_the_table_of_results_is_the_recipe_s():
    results = json.loads((ROOT / "recipes" / "debian_ntxent" / "results.json").read_text(encoding="utf-8"))
    probes = {row["features"]: row["figures"] for row in results["probe"]["rows"]}
    artist = {r["features"]: r for r in results["retrieval"]["rows"] if r["relevant"] == "same artist"}
    text = README.replace("\n", " ")
    for features, form in (
        ("encoder.safetensors", "genre accuracy of {:.3f}, mood r {:.3f} and same-artist mAP {:.3f}"),
        ("random weights", "random weights {:.3f}, {:.3f} and {:.3f}"),
    ):
        genre = next(f for f in probes[features] if f["task"] == "genre")["values"]["accuracy"]
        mood = next(f for f in probes[features] if f["label"] == "mean")["values"]["pearson_r"]
        assert form.format(genre, mood, artist[features]["map_z"]) in text


def test_the_rates_are_the_benchmarks():
    results = ROOT / "tests" / "benchmarks" / "results"
    embed, train, agreement, memory, startup = (
        json.loads((results / f"{name}.json").read_text())
        for name in ("embed", "train", "agreement", "memory", "startup")
    )
    assert f"{embed['ratio']:.2f} times as long as decoding" in README
    assert f", {embed['tracks_per_s']['embed']:.0f} tracks a second" in README
    rows = {"musicnn": "musicnn's own extractor", "musly": "pymusly", "bliss": "bliss-audio"}
    rows |= {"decode whole songs": "decoding the whole songs, nothing else"}
    for name, shown in rows.items():
        assert f"| {shown} | {embed['times_as_fast_as'][name]:.1f} |" in README
    assert f"{agreement['excerpts']} excerpts that are decoded of a track find {agreement['overlap']:.2f}" in README
    assert f"{memory['peak_mib']['10000']} MiB at most" in README
    assert f"{startup['tracks']:,} tracks takes {startup['recommend_s']:.2f} s" in README
    assert f"{train['ratio']:.2f} of" in README


def script(path: Path) -> Any:
    """A recipe's script as a module."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_frameworks_are_the_recipe_s():
    folder = ROOT / "recipes" / "frameworks_debian"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    report, card = script(folder / "report.py"), (folder / "README.md").read_text(encoding="utf-8")
    assert report.table(results) in card
    assert report.table(results, "score_") in card
    assert report.table(results, group="attempts") in card
    assert all(len(entry["runs"]) >= 2 for entry in results["frameworks"].values())
    alike = results["teacher"]["alike"]
    architecture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert f"mean cosine {alike['plain']['between']:.2f}" in architecture
    assert (
        f"({alike['centred']['between']:.2f}, against {alike['centred']['within']:.2f} within a track)" in architecture
    )


def test_the_tables_of_the_cluster_are_made_of_what_was_measured():
    folder = ROOT / "recipes" / "cluster"
    card = (folder / "README.md").read_text(encoding="utf-8")
    paper = script(folder / "paper.py")
    assert card == paper.written(card, paper.parts()), "run python recipes/cluster/paper.py"
    measured = paper.read(folder / "measured-cpu.json")
    if not measured or not measured["two"]:
        return
    unit, counted = paper.Unit.of(measured), measured["two"]["exchanged_a_step"]
    # the model's bytes are what was handed over: each of two gives a half, of gradients all, which a ring sends twice
    modelled = paper.exchanged(unit, measured["two"]["batch"], world=2)
    assert counted["all_gather"]["bytes"] == (modelled["projections"] + modelled["statistics"]) / 2
    assert counted["all_reduce"]["bytes"] == (modelled["their gradient"] + modelled["their gradients"]) / 2


def test_the_tables_of_the_built_in_encoder_are_the_recipe_s():
    folder = ROOT / "recipes" / "builtin"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    figures = json.loads((folder / "heads.json").read_text(encoding="utf-8"))["tasks"]
    report, card = (
        script(folder / "report.py"),
        (ROOT / "mirclr" / "models" / "pretrained" / "README.md").read_text("utf-8"),
    )
    assert report.table(results) in README
    assert report.table(results) in card
    assert report.calibration(figures) in card
    assert results["encoder"][:12] in card
    levels, genres = results["levels"], results["genres"]
    assert (
        f"at half its level has a cosine of {levels['-6 dB']:.2f} to itself, at a quarter {levels['-12 dB']:.2f}"
        in card
    )
    assert f"20 dB below, a track has a cosine of {levels['noise at -20 dB']:.2f} to itself" in card
    assert report.felt(results) in card
    found = f"{400 * genres['answered']:.0f} of 400 are given a genre, of which {genres['rightly']:.2f} are right"
    assert found in card.replace("\n", " ")


def test_the_figures_of_describing_are_the_benchmark_s():
    found = json.loads((ROOT / "tests/benchmarks/results/describe.json").read_text(encoding="utf-8"))
    for row, of, by in (
        ("`mirclr describe`, 2 stretches of 15 s", "describe", "describe"),
        ("librosa and pyloudnorm, the middle minute", "librosa on the middle minute", "librosa"),
    ):
        figures = [*found[of].values(), found["seconds a song"][by]]
        assert f"| {row} | {' | '.join(f'{figure:.3f}' for figure in figures)} |" in BENCHMARKS
    assert f"embedding takes {found['seconds a song']['embed']:.3f}" in BENCHMARKS


def test_the_figures_of_recommending_are_the_benchmarks():
    results = ROOT / "tests" / "benchmarks" / "results"
    latency, hubs, duplicates, personal = (
        json.loads((results / f"{name}.json").read_text()) for name in ("latency", "hubs", "duplicates", "personal")
    )
    for size in latency["sizes"]:
        cells = [f"{size['tracks']:,}"]
        for kind in ("plain", "one year of sixty", "tempo, key and length", "three seeds"):
            cells.append(f"{size['ms'][kind]['p50']:.1f} / {size['ms'][kind]['p99']:.1f}")
        assert f"| {' | '.join(cells)} |" in BENCHMARKS
    assert f"{latency['sizes'][-1]['recall@20']:.2f} of what comparing with all would give" in BENCHMARKS
    for name, found in hubs["of"].items():
        plain, corrected = found["cosine"], found["corrected"]
        cells = (
            f"{plain['skewness']:.2f} → {corrected['skewness']:.2f}",
            f"{plain['artist_map']:.3f} → {corrected['artist_map']:.3f}",
        )
        assert f"| {name} | {' | '.join(cells)} |" in BENCHMARKS
    assert f"{duplicates['copies']} altered copies" in BENCHMARKS
    for found in personal["measured"]:
        if "centres" not in found["way"]:
            assert f"| {found['recall']:.3f} ± {found['recall_error']:.3f} |" in BENCHMARKS


def test_the_tables_of_few_labels_are_the_recipe_s():
    folder = ROOT / "recipes" / "few_labels_debian"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    collect, card = script(folder / "collect.py"), (folder / "README.md").read_text(encoding="utf-8")
    for curve in ("curve", "curve-emotify"):
        assert collect.table(results[curve]["points"]) in card
    points = {p["features"]: p["accuracy"] for p in results["curve"]["points"] if p["share"] == 0.1}
    assert f"{points['encoder.safetensors']:.2f} of the others" in README.replace("\n", " ")
    assert f"{points['from scratch']:.2f}; with all that" in README.replace("\n", " ")


def test_the_readme_is_for_newcomers_and_leads_to_what_is_there():
    assert README.count("\n") <= 220
    for document in (README, BENCHMARKS):
        folder = ROOT if document is README else ROOT / "tests" / "benchmarks"
        for target in re.findall(r"\]\(([^)#:]+)\)", document):
            assert (folder / target).exists(), target


def test_the_readme_s_commands_are_commands():
    """Each command is in its table; each example is of a command that there is, with options that it has."""
    table = README[README.index("## Commands") : README.index("Every command has `--help`")]
    assert all(re.search(rf"[`, ]{name}[`, ]", table) for name in COMMANDS)
    examples = re.findall(r"^ {4}(mirclr (?:.*\\\n)*.*)$", README, flags=re.MULTILINE)
    examples += [words for words in re.findall(r"`(mirclr [^`]*)`", README) if "…" not in words]
    lines = [line for example in examples for line in example.replace("\\\n", " ").split("&&")]
    assert len(lines) > 7
    for line in lines:
        words, command = shlex.split(line, comments=True)[1:], group
        while isinstance(command, click.Group) and words:
            command = command.get_command(click.Context(command), words.pop(0))
            assert command, line
        options = {name for p in command.params for name in p.opts if isinstance(p, click.Option) and not p.hidden}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options, line
