import json
import shutil

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from mirclr.errors import LibraryError
from mirclr.evaluation import probes as evaluate
from mirclr.evaluation.probes import Features, baseline_features, mfcc_statistics, retrieval_rows, z_scored
from mirclr.library import LibraryStore, LibraryTrack
from tests.commands import invoke


def protocol_retrieval(x, groups):
    """Mean average precision and hit@5 of z-scored cosine neighbours, spelt out."""
    x = StandardScaler().fit_transform(x)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    precisions, hits = [], []
    for i in range(len(x)):
        others = sorted((j for j in range(len(x)) if j != i), key=lambda j: -float(x[i] @ x[j]))
        relevant = [groups[j] == groups[i] != "" for j in others]
        if any(relevant):
            at = [rank for rank, is_relevant in enumerate(relevant, 1) if is_relevant]
            precisions.append(np.mean([(n + 1) / rank for n, rank in enumerate(at)]))
            hits.append(any(relevant[:5]))
    return np.mean(precisions), np.mean(hits), len(precisions)


def test_z_scored_retrieval_equals_the_protocol_spelt_out():
    rng = np.random.default_rng(0)
    artist = rng.choice(["", *"abcdefgh"], 60).astype(object)
    x = rng.normal(size=(60, 9)) * rng.uniform(0.1, 10, 9) + rng.normal(size=9) * 20
    x[:, 8] = 3  # a constant column
    nothing = np.array([""] * 60, object)
    row, chance = retrieval_rows([Features("x", x)], artist, nothing, nothing)[:2]
    assert (row.map_z, row.hit_z, row.queries) == pytest.approx(protocol_retrieval(x, artist))
    assert row.map != pytest.approx(row.map_z)
    assert chance.features == "chance"
    assert row.queries + row.left_out == 60


def test_rows_by_meaning_each_with_chance():
    rng = np.random.default_rng(0)
    artist = np.repeat(np.array(list("abcde"), object), 8)
    album = np.array([f"{a}{i % 2}" for i, a in enumerate(artist)], object)
    vectors = np.eye(5)[np.repeat(np.arange(5), 8)] * 3 + rng.normal(size=(40, 5))
    noted = []
    features = [Features("good", vectors), Features("noise", rng.normal(size=(40, 5)))]
    rows = retrieval_rows(features, artist, album, artist, advance=lambda steps, note: noted.append(note))
    assert len(noted) == 5 * len(features)
    by = {(r.relevant, r.features): r for r in rows}
    assert len(by) == 12
    good, noise, chance = (by["same artist", name] for name in ("good", "noise", "chance"))
    assert good.map > 0.5 > noise.map
    assert noise.map == pytest.approx(chance.map, abs=0.06)
    # of 36 tracks outside the album, 4 are of the same artist
    assert by["same artist, other album", "chance"].map < chance.map
    no_album = np.array([""] * 40, object)
    assert {r.relevant for r in retrieval_rows(features, no_album, no_album, artist)} == {"same genre"}


def test_large_libraries_are_asked_for_a_sample(monkeypatch):
    monkeypatch.setattr(evaluate, "QUERIES", 30)
    asked = evaluate.query_sample(100)
    assert len(set(asked.tolist())) == 30
    np.testing.assert_array_equal(asked, evaluate.query_sample(100))
    rng = np.random.default_rng(0)
    artist = rng.choice(list("abc"), 100)
    row = retrieval_rows([Features("x", rng.normal(size=(100, 3)))], artist, artist, artist)[0]
    assert row.queries == 30


def test_z_scored_columns():
    x = np.column_stack([np.arange(5.0), np.full(5, 7.0)])
    z = z_scored(x.astype(np.float32))
    np.testing.assert_allclose(z[:, 0], StandardScaler().fit_transform(x[:, :1])[:, 0])
    np.testing.assert_array_equal(z[:, 1], 0)


def test_hubness_rows():
    rng = np.random.default_rng(0)
    (row,) = evaluate.hubness_rows([Features("x", rng.normal(size=(50, 3)) + 10)])
    assert row["features"] == "x"
    assert np.isfinite([row["plain"], row["z"]]).all()


def test_mfcc_statistics_are_of_all_excerpts_and_loudness_is_in_the_first_alone():
    import librosa

    rng = np.random.default_rng(0)
    waveforms = rng.normal(size=(3, 8000)).astype(np.float32) * 0.05
    plain = mfcc_statistics(waveforms, 16000)
    mfcc = librosa.feature.mfcc(y=np.concatenate(list(waveforms)), sr=16000, n_mfcc=20)
    np.testing.assert_allclose(plain[:20], mfcc.mean(axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(plain[20:40], mfcc.std(axis=1), rtol=1e-4, atol=1e-4)
    assert plain.shape == (60,)
    assert (plain[40:] < plain[20:40]).all()  # slopes vary less than what they are slopes of
    louder = mfcc_statistics(waveforms * 2, 16000)
    assert louder[0] - plain[0] > 10
    np.testing.assert_allclose(louder[1:20], plain[1:20], atol=0.05)


# on real music


@pytest.fixture(scope="module")
def embedded(songs, tmp_path_factory):
    """A library of twelve copies of real songs, by a very small encoder, and a labels file."""
    from mirclr.config import parse_recipe
    from mirclr.library import Entry
    from mirclr.models.embedder import Embedder
    from mirclr.tags import Tags

    folder = tmp_path_factory.mktemp("music")
    encoder = "{name: resnet, widths: [4, 4], blocks: [1, 1], dim: 8}"
    text = f"name: t\ndata: {{train: x}}\naudio: {{clip_seconds: 1}}\nencoder: {encoder}"
    recipe = parse_recipe(text).model_dump(mode="json")
    untrained = Embedder.with_random_weights(recipe, excerpts=2, seed=1)
    rng = np.random.default_rng(0)
    with LibraryStore.open(folder / "l.db", create=True) as library:
        library.bind(untrained.stamp)
        for i in range(12):
            name = f"{i:02}.ogg"
            shutil.copy(songs[i % len(songs)], folder / name)
            tags = Tags(title=name, artist=f"artist {i // 2}", album="x", genre="ab"[i % 2])
            vector = np.eye(8)[i % 2] + rng.normal(size=8) * 0.1
            library.write(entries=[Entry(str(folder), name, 1, 1, name, name, 8.0, tags, vector)])
    rows = [f"{i:02}.ogg,by {i // 2},{'ab'[i % 2]},{(i % 2) * 0.5}" for i in range(12)]
    (folder / "labels.csv").write_text("file,artist,genre,mood_calm\n" + "\n".join(rows), encoding="utf-8")
    (folder / "03.ogg").unlink()
    (folder / "04.ogg").write_bytes(b"damaged")
    return folder


def run(*args):
    result = invoke([str(a) for a in args])
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    return result


def test_baselines_leave_the_same_files_out_of_every_row(embedded):
    result = run("evaluate", "retrieval", "--library", embedded / "l.db", "--workers", 1, "--json")
    facts = json.loads(result.stdout)
    assert facts["labels"] == "tags"
    assert facts["tracks"] == 10
    assert [any(name in line for line in facts["left_out"]) for name in ("03.ogg", "04.ogg")] == [True, True]
    genre = [r for r in facts["rows"] if r["relevant"] == "same genre"]
    assert [r["features"] for r in genre] == ["random weights, seed 1", "MFCC statistics", "random weights", "chance"]
    assert {r["queries"] for r in genre} == {10}
    assert genre[0]["map"] == 1 > genre[3]["map"]
    assert len(facts["hubness"]) == 3


def test_retrieval_by_a_labels_file_without_audio(embedded):
    args = (
        "evaluate",
        "retrieval",
        "--library",
        embedded / "l.db",
        "--labels",
        embedded / "labels.csv",
        "--no-baselines",
    )
    facts = json.loads(run(*args, "--json").stdout)
    assert facts["tracks"] == 12
    genres = {"same genre", "same genre, other artist"}
    # the labels say no album; that of the tags is taken, one of each artist
    assert {r["relevant"] for r in facts["rows"]} == {"same artist", "same album", *genres}
    printed = run(*args)
    for word in ("same artist", "mAP z", "hit@5", "chance", "hubness"):
        assert word in printed.stdout


def test_probe(embedded):
    args = ("evaluate", "probe", "--library", embedded / "l.db", "--labels", embedded / "labels.csv", "--no-baselines")
    (row,) = json.loads(run(*args, "--json").stdout)["rows"]
    genre, calm = row["figures"]
    assert genre["values"]["accuracy"] > 0.8 > genre["chance"]["accuracy"]
    assert calm["values"]["pearson_r"] > 0.8 > calm["chance"]["pearson_r"]
    assert "genre, chance" in run(*args).stdout


def test_an_empty_library_says_what_to_do(tmp_path):
    LibraryStore.open(tmp_path / "l.db", create=True).close()
    result = invoke(["evaluate", "retrieval", "--library", str(tmp_path / "l.db")])
    assert isinstance(result.exception, LibraryError)
    assert "mirclr embed" in str(result.exception)


def test_baselines_of_files_that_are_all_gone(embedded, tmp_path):
    with LibraryStore.open(embedded / "l.db") as library:
        encoder = library.stamp
    gone = LibraryTrack(1, str(tmp_path), "x.ogg", 1.0, None, None, None, None, None, None, "")
    with pytest.raises(LibraryError, match="none of 1 files"):
        baseline_features([gone], encoder, workers=1)
