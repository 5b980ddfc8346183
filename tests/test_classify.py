import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mirclr.classify import Heads, Scores, cross_validate, labelled_by_file, labelled_by_tags, read_labels, unusable
from mirclr.classify.fitting import _fit, fit_with_grid_search, grouped_folds, softmax
from mirclr.classify.labels import Labels
from mirclr.errors import CheckpointError, EncoderMismatch, LabelsError, LibraryError
from mirclr.library import Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags
from tests.commands import invoke

DIM = 6
STAMP = EncoderStamp("d" * 32, "encoder.safetensors", DIM, 3, {})


def make_library(path, files, vectors=None, root="/music", tags=None):
    vectors = np.eye(DIM)[np.arange(len(files)) % DIM] if vectors is None else vectors
    library = LibraryStore.open(path, create=True)
    library.bind(STAMP)
    tags = tags or [Tags()] * len(files)
    library.write(
        entries=[
            Entry(root, f, 1, 1, f"{root}{f}", f"a{f}", 60.0, t, v)
            for f, t, v in zip(files, tags, vectors, strict=True)
        ]
    )
    return library


def make_labels(n, *, genre=None, artist=None, fractions=None, moods=()):
    empty = np.array([""] * n, object)
    return Labels(
        source="test",
        files=np.array([f"{i}.ogg" for i in range(n)], object),
        lines=np.arange(n),
        artist=empty if artist is None else np.array(artist, object),
        album=empty,
        genre=empty if genre is None else np.array(genre, object),
        moods=tuple(moods),
        fractions=np.zeros((n, 0)) if fractions is None else np.asarray(fractions, float),
    )


def written(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def music():
    """60 tracks of 12 artists: three genres and a mood that the vectors tell, with noise."""
    rng = np.random.default_rng(0)
    genre = np.repeat([0, 1, 2], 20)
    vectors = rng.normal(size=(60, DIM)) * 0.6
    vectors[np.arange(60), genre] += 2
    share = 1 / (1 + np.exp(-2 * vectors[:, 4]))
    labels = make_labels(
        60,
        genre=np.array(["jazz", "folk", "dub"])[genre],
        artist=[f"artist {i // 5}" for i in range(60)],
        fractions=np.column_stack([share, share > 0.5]),
        moods=("calm", "vocal"),
    )
    return vectors.astype(np.float32), labels


# reading


def test_reads_columns_and_leaves_unknown_cells_unknown(tmp_path):
    text = (
        '\ufefffile,artist,album,genre,year,mood_calm,tag_piano\n./a\\1.ogg,"B, C",D,rock,1999,0.25,1\n\n2.ogg,,,,,,0\n'
    )
    labels = read_labels(written(tmp_path, text))
    assert labels.files.tolist() == ["a/1.ogg", "2.ogg"]
    assert labels.artist.tolist() == ["B, C", ""]
    assert labels.album.tolist() == ["B, C – D", ""]
    assert labels.genre.tolist() == ["rock", ""]
    assert labels.moods == ("calm", "piano")
    np.testing.assert_array_equal(labels.fractions, [[0.25, 1], [np.nan, 0]])
    assert labels.lines.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ":1: no column file"),
        ("name,genre\na,b\n", ":1: no column file; found: name, genre"),
        ("file;genre\na;b\n", "commas"),
        ("file,genre\n", "no rows"),
        ("file,genre,genre\na,b,c\n", ":1: column genre occurs twice"),
        (f"file,{','.join(f'c{i}' for i in range(100_000))}\n", ":1: 100001 columns; expected 10000 at most"),
        (f"file,{','.join(f'mood_{i}' for i in range(9_000))},mood_7\n", ":1: column mood_7 occurs twice"),
        ("file,mood_x,tag_x\na,0,0\n", "'x'"),
        ("file,mood_\na,0\n", ":1: mood or tag ''"),
        ("file,genre\na.ogg,b\nc.ogg\n", ":3: 1 cells; expected 2"),
        ("file,genre\n ,b\n", ":2: column file is empty"),
        ("file,genre\na,b\n./a,c\n", ":3: file 'a' is also on line 2"),
        ("file,mood_x\na,0.5\nb,high\n", ":3: column mood_x is 'high'"),
        ("file,mood_x\na,1.5\n", ":2: column mood_x is '1.5'"),
        ("file,mood_x\na,nan\n", ":2: column mood_x is 'nan'"),
        ('file,genre\na,"b"c\n', ":2:"),
    ],
)
def test_says_where_a_labels_file_is_wrong(tmp_path, text, says):
    path = written(tmp_path, text)
    with pytest.raises(LabelsError) as error:
        read_labels(path)
    assert str(path) in str(error.value)
    assert says in str(error.value)


def test_says_that_a_labels_file_is_not_text(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes("file,genre\nä.ogg,b\n".encode("latin-1"))
    with pytest.raises(LabelsError, match="not UTF-8"):
        read_labels(path)


# matching


def matched(library, *files):
    labels = make_labels(len(files))
    labels.files[:] = files
    found = labelled_by_file(library, labels)
    return [t.path for t in found.tracks], found.unmatched


def test_matches_the_end_of_paths_by_whole_components(tmp_path):
    with make_library(tmp_path / "l.db", ["rock/1.ogg", "rock/11.ogg", "pop/2.ogg", "e\u0301.ogg"]) as library:
        assert matched(library, "1.ogg", "2.ogg") == (["rock/1.ogg", "pop/2.ogg"], [])
        assert matched(library, "music/pop/2.ogg", "op/2.ogg") == (["pop/2.ogg"], ["op/2.ogg"])
        assert matched(library, "\u00e9.ogg")[0] == ["e\u0301.ogg"]


def test_vectors_come_in_the_order_of_the_labels(tmp_path):
    vectors = np.eye(DIM)
    with make_library(tmp_path / "l.db", [f"{i}.ogg" for i in range(DIM)], vectors) as library:
        labels = make_labels(3)
        labels.files[:] = ["4.ogg", "0.ogg", "2.ogg"]
        np.testing.assert_array_equal(labelled_by_file(library, labels).vectors, vectors[[4, 0, 2]])


def test_refuses_ambiguous_matches_unless_one_is_exact(tmp_path):
    with make_library(tmp_path / "l.db", ["a/1.ogg", "b/1.ogg", "2.ogg", "b/2.ogg"]) as library:
        with pytest.raises(LabelsError, match=r"'1.ogg' matches '/music/a/1.ogg' and '/music/b/1.ogg'"):
            matched(library, "1.ogg")
        assert matched(library, "2.ogg")[0] == ["2.ogg"]
        with pytest.raises(LabelsError, match="are both"):
            matched(library, "2.ogg", "music/2.ogg")
        with pytest.raises(LabelsError, match="none of its 1 files"):
            matched(library, "3.ogg")


def test_labels_by_tags(tmp_path):
    tags = [Tags(artist="A", album="X", genre="rock"), Tags(artist="B", album="X", album_artist="V"), Tags()]
    with make_library(tmp_path / "l.db", ["1", "2", "3"], tags=tags) as library:
        found = labelled_by_tags(library)
    assert found.labels.artist.tolist() == ["A", "B", ""]
    assert found.labels.album.tolist() == ["A – X", "V – X", ""]
    assert found.labels.genre.tolist() == ["rock", "", ""]
    assert len(found.vectors) == 3
    with LibraryStore.open(tmp_path / "empty.db", create=True) as library:
        assert labelled_by_tags(library).tracks == []


# fitting


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=40), st.integers(2, 5))
@settings(max_examples=60)
def test_folds_part_no_group_and_test_every_row_once(pairs, most):
    label, groups = np.array(pairs).T
    folds = grouped_folds(np.eye(4)[label], groups, most)
    if len(set(groups)) < 2:
        assert folds == []
        return
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(pairs)))
    for train, test in folds:
        assert len(train)
        assert not set(groups[train]) & set(groups[test])


def test_a_fit_equals_the_scikit_learn_pipeline():
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, size=(80, 4)), rng.integers(0, 3, 80)
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-3)).fit(x, y)
    fit = _fit(x, np.eye(3)[y], 0.1)
    np.testing.assert_allclose(softmax(fit.logits(x)), oracle.predict_proba(x), atol=1e-9)
    two = y < 2
    oracle.fit(x[two], y[two])
    fit = _fit(x[two], np.eye(2)[y[two]], 0.1)
    np.testing.assert_allclose(softmax(fit.logits(x)), oracle.predict_proba(x), atol=1e-9)


def test_a_share_counts_as_that_many_listeners():
    rng = np.random.default_rng(0)
    x, votes = rng.normal(size=(50, 3)), rng.integers(0, 5, 50)
    share = votes / 4
    fit = _fit(x, np.column_stack([1 - share, share]), 0.4)
    listeners = np.concatenate([np.arange(4) < v for v in votes])
    scaled = np.repeat(StandardScaler().fit_transform(x), 4, axis=0)
    oracle = LogisticRegression(C=0.1, tol=1e-6).fit(scaled, listeners)  # four listeners weigh four times as much
    expected = oracle.predict_proba(scaled[::4])
    np.testing.assert_allclose(softmax(fit.logits(x)), expected, atol=2e-3)


def test_a_class_that_was_never_seen_is_not_predicted():
    x = np.random.default_rng(0).normal(size=(20, 3))
    fit = _fit(x, np.eye(3)[np.arange(20) % 2], 0.1)
    assert softmax(fit.logits(x))[:, 2].max() < 1e-6
    assert fit.seen.tolist() == [True, True, False]
    assert softmax(_fit(x, np.eye(3)[np.ones(20, int)], 0.1).logits(x))[:, 1].min() > 0.999


def test_what_cannot_be_told_is_given_its_prevalence():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(200, 20)), rng.random(200) < 0.3
    fit = fit_with_grid_search(x, np.column_stack([~y, y]).astype(float), np.arange(200))
    assert np.abs(softmax(fit.logits(x) / fit.temperature)[:, 1] - 0.3).max() < 0.15


# figures


def test_figures_of_what_can_be_told(music):
    vectors, labels = music
    genre, calm, vocal, mean = cross_validate(vectors, labels)
    assert genre.values["accuracy"] > 0.85 > genre.chance["accuracy"] == pytest.approx(1 / 3)
    assert genre.chance["map"] == pytest.approx(1 / 3)
    assert (genre.tracks, genre.groups) == (60, 12)
    assert calm.values["pearson_r"] > 0.7
    assert calm.values.get("accuracy") is None
    assert calm.positive.startswith("above the median")
    assert vocal.positive == "at least 0.5"
    assert vocal.values["accuracy"] > vocal.chance["accuracy"] >= 0.5
    assert mean.values["roc_auc"] == pytest.approx((calm.values["roc_auc"] + vocal.values["roc_auc"]) / 2)


def test_no_artist_leaks_between_folds():
    """Vectors that tell the artist and nothing else; by any leak the genre would be certain."""
    rng = np.random.default_rng(0)
    artist = np.repeat(np.arange(40), 4)
    vectors = rng.normal(size=(40, 64))[artist] + rng.normal(size=(160, 64)) * 0.01
    labels = make_labels(160, genre=np.array(["a", "b"])[artist % 2], artist=[f"{i:02}" for i in artist])
    assert cross_validate(vectors, labels)[0].values["accuracy"] < 0.7
    without = make_labels(160, genre=np.array(["a", "b"])[artist % 2])
    assert cross_validate(vectors, without)[0].values["accuracy"] > 0.9


def test_reports_what_cannot_be_learnt(music):
    vectors, labels = music
    labels.fractions[:, 1] = 1
    labels.fractions[5:, 0] = np.nan
    labels.genre[labels.genre == "dub"] = "jazz"
    assert set(unusable(labels)) == {"calm", "vocal"}
    assert [f.task for f in cross_validate(vectors, labels)] == ["genre"]
    labels.genre[:] = "jazz"
    with pytest.raises(LabelsError, match="nothing to learn"):
        cross_validate(vectors, labels)


def test_a_genre_of_one_artist_does_not_stop_the_others(music):
    vectors, labels = music
    labels = replace(labels, moods=(), fractions=labels.fractions[:, :0])
    labels.genre[:5] = "polka"
    genre = cross_validate(vectors, labels)[0]
    assert 0.5 < genre.values["accuracy"] < 1
    assert Heads().fit(vectors, labels, encoder=STAMP).tasks["genre"].labels == ("dub", "folk", "jazz", "polka")


# heads


def test_heads_come_back_as_they_were_saved(music, tmp_path):
    vectors, labels = music
    scores = [Scores("genre", "", 60, 12, "each", {"accuracy": 0.9, "ece": None}, {"accuracy": 0.3})]
    heads = Heads(abstain=0.5).fit(vectors, labels, encoder=STAMP, scores=scores)
    heads.save(tmp_path / "h.safetensors")
    loaded = Heads.load(tmp_path / "h.safetensors")
    for task, expected in heads.predict_proba(vectors).items():
        np.testing.assert_array_equal(loaded.predict_proba(vectors)[task], expected)
    assert (loaded.digest, loaded.abstain, loaded.training) == (heads.digest, 0.5, heads.training)
    assert loaded.scores == heads.scores == json.loads(json.dumps(heads.scores))
    assert loaded.provenance["encoder"] == STAMP.digest
    assert loaded.tasks["mood"].labels == ("calm", "vocal")


def test_heads_are_right_and_abstain(music):
    vectors, labels = music
    heads = Heads().fit(vectors, labels, encoder=STAMP)
    probabilities = heads.predict_proba(vectors)
    np.testing.assert_allclose(probabilities["genre"].sum(axis=1), 1)
    assert np.mean(np.array(heads.predict(vectors)) == labels.genre) > 0.9
    assert np.corrcoef(probabilities["mood"][:, 0], labels.fractions[:, 0])[0, 1] > 0.8
    heads.abstain = 1.0
    assert set(heads.predict(vectors)) == {"unknown"}
    with pytest.raises(EncoderMismatch):
        heads.predict_proba(vectors[:, :3])


def test_the_digest_tells_heads_apart(music):
    vectors, labels = music
    labels = replace(labels, moods=(), fractions=labels.fractions[:, :0])
    one = Heads().fit(vectors, labels, encoder=STAMP)
    again = Heads().fit(vectors, labels, encoder=STAMP)
    other = Heads().fit(vectors + np.float32(0.01) * vectors[::-1], labels, encoder=STAMP)
    assert one.digest == again.digest != other.digest
    assert one.training == again.training != other.training


def test_refuses_files_that_are_no_heads(music, tmp_path):
    from safetensors.numpy import save_file

    vectors, labels = music
    path = tmp_path / "h.safetensors"
    with pytest.raises(CheckpointError, match="classify train"):
        Heads.load(path)
    Heads().fit(vectors, labels, encoder=STAMP).save(path)
    whole = path.read_bytes()
    for broken in (b"", b"not safetensors", whole[:-20], whole.replace(b'\\"format\\": 1', b'\\"format\\": 9')):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"h\.safetensors"):
            Heads.load(path)
    header = {"format": 1, "kind": "heads", "tasks": {"genre": {"kind": "one", "labels": ["a"]}}, "abstain": 0.4}
    rest = {"encoder": {"digest": "d", "name": "n", "dim": 2}, "training": "", "figures": [], "provenance": {}}
    for tensors in (
        {"other": np.zeros(1, np.float32)},
        {"genre.weight": np.zeros((3, 2)), "genre.bias": np.zeros(1), "genre.temperature": np.ones(1)},
        {"genre.weight": np.zeros((1, 2)), "genre.bias": np.zeros(1), "genre.temperature": np.zeros(1)},
        {"genre.weight": np.full((1, 2), np.nan), "genre.bias": np.zeros(1), "genre.temperature": np.ones(1)},
    ):
        save_file(tensors, path, {"mirclr": json.dumps({**header, **rest})})
        with pytest.raises(CheckpointError, match="damaged"):
            Heads.load(path)
    save_file({"a": np.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not a file of heads"):
        Heads.load(path)


def test_heads_are_applied_to_their_own_encoder_alone(music, tmp_path):
    heads = Heads().fit(*music, encoder=EncoderStamp("e" * 32, "other.safetensors", DIM, 3, {}))
    mismatch = pytest.raises(EncoderMismatch, match=r"encoder\.safetensors .* other\.safetensors")
    with make_library(tmp_path / "l.db", ["1.ogg"]) as library, mismatch:
        heads.check_encoder(library)
    with LibraryStore.open(tmp_path / "empty.db", create=True) as library, pytest.raises(LibraryError, match="embed"):
        heads.check_encoder(library)


# the command line


@pytest.fixture
def on_disk(music, tmp_path):
    vectors, labels = music
    make_library(tmp_path / "l.db", [f"x/{f}" for f in labels.files], vectors).close()
    rows = ["file,artist,genre,mood_calm,tag_vocal", "gone.ogg,Z,dub,0,0"]
    for i in range(60):
        calm, vocal = labels.fractions[i]
        rows.append(f"{labels.files[i]},{labels.artist[i]},{labels.genre[i]},{calm:.4f},{vocal}")
    written(tmp_path, "\n".join(rows))
    return tmp_path


def run(*args):
    return invoke([str(a) for a in args])


def test_train_then_classify(on_disk):
    library, labels = on_disk / "l.db", on_disk / "labels.csv"
    result = run("classify", "train", "--library", library, "--labels", labels, "--explain")
    assert result.exit_code == 0, result.output
    assert "1 file of the labels is not in the library: gone.ogg" in result.stderr
    for word in ("genre", "mood: calm", "mood: vocal", "chance", "ROC-AUC", "no artist is in two folds"):
        assert word in result.stdout
    assert (on_disk / "l.db.heads.safetensors").is_file()
    with LibraryStore.open(library) as opened:
        assert set(opened.tasks()) == {"genre", "mood"}  # what was learned is used at once

    result = run("classify", "predict", "--library", library, "--json")
    top = json.loads(result.stdout)["counts"]
    assert sum(top["genre"].values()) == sum(top["mood"].values()) == 60
    with LibraryStore.open(library) as opened:
        assert set(opened.tasks()) == {"genre", "mood"}
        for row in opened.probabilities("genre").values():
            assert sum(row.values()) == pytest.approx(1)
        assert set(opened.probabilities("mood")[1]) == {"calm", "vocal"}
    said = run("classify", "predict", "--library", library).stdout
    assert "60 songs have guesses now" in said
    assert "strongest mood" in said


def test_train_prints_json_and_writes_where_told(on_disk):
    heads, labels = on_disk / "sub" / "h.safetensors", on_disk / "genres.csv"
    rows = (on_disk / "labels.csv").read_text().splitlines()
    labels.write_text("\n".join(",".join(row.split(",")[:3]) for row in rows))
    result = run("classify", "train", "--library", on_disk / "l.db", "--labels", labels, "-o", heads, "--json")
    facts = json.loads(result.stdout)
    assert facts["tracks"] == 60
    assert facts["unmatched"] == ["gone.ogg"]
    assert facts["figures"][0]["values"]["accuracy"] > 0.85
    assert Heads.load(heads).scores == facts["figures"]


def test_applying_imports_neither_scikit_learn_nor_torch(on_disk, music):
    heads = Heads().fit(*music, encoder=STAMP)
    heads.save(on_disk / "l.db.heads.safetensors")
    code = (
        "import sys; from mirclr.__main__ import start\n"
        f"sys.argv = ['mirclr', 'classify', 'predict', '--library', {str(on_disk / 'l.db')!r}]\n"
        "try:\n    start()\nexcept SystemExit as stopped:\n    assert not stopped.code\n"
        "assert not {'sklearn', 'torch', 'scipy', 'librosa'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
