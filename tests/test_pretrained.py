"""What mirclr comes with: that it is whole, small, of one piece, and says something of real music."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mirclr.audio import read_excerpts
from mirclr.classify import Heads
from mirclr.classify.heads import TAG, TASKS
from mirclr.config import recipe_from
from mirclr.library import LibraryStore
from mirclr.models.checkpoint import load_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model
from mirclr.models.level import USUAL_SLOPE, slope
from mirclr.models.pretrained import builtin_checkpoint, builtin_heads, checkpoint_named
from tests.commands import invoke

CARD = builtin_checkpoint().with_name("README.md")


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.load(builtin_checkpoint())


def test_the_encoder_is_small_and_its_card_names_it(embedder):
    assert builtin_checkpoint().stat().st_size <= 10_000_000
    assert embedder.stamp.digest[:12] in CARD.read_text(encoding="utf-8")


def test_the_heads_are_of_this_encoder_and_calibrated(embedder):
    heads = Heads.load(builtin_heads())
    assert heads.encoder["digest"] == embedder.stamp.digest
    assert {*heads.tasks} == {*TASKS, TAG}
    assert {name for name, head in heads.tasks.items() if head.kind == "one"} == {"genre"}
    assert len(heads.tasks["genre"].labels) >= 20
    assert len(heads.tasks["mood"].labels) == 12
    assert heads.tasks["affect"].labels == ("valence", "arousal")
    assert heads.tasks["voice"].labels[0] == "vocal"
    assert {"piano", "female voice", "no vocals", "hip-hop", "80s"} <= {*heads.tasks[TAG].labels}
    assert {*heads.priors[TAG]} == {*heads.tasks[TAG].labels}


def test_only_what_is_embedded_with_is_shipped():
    read = load_checkpoint(builtin_checkpoint())
    assert read.step is None
    assert read.optimizer == read.objective == {}
    assert "/" not in json.dumps(read.provenance)


def test_two_parts_of_a_song_are_nearer_than_two_songs(embedder, songs):
    halves = []
    for song in songs:
        clips = read_excerpts(song, count=4, seconds=embedder.seconds, rate=embedder.rate).waveforms
        halves.append([embedder.embed_track(clips[:1]), embedder.embed_track(clips[-1:])])
    first, second = (np.stack(side) for side in zip(*halves, strict=True))
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert ((first @ second.T).argmax(axis=1) == np.arange(len(songs))).all()


def test_level_hardly_matters(embedder, songs):
    clips = read_excerpts(songs[0], count=4, seconds=embedder.seconds, rate=embedder.rate).waveforms
    assert embedder.embed_track(clips) @ embedder.embed_track(0.5 * clips) > 0.9


def test_builtin_is_a_name_and_not_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("builtin").write_bytes(b"")
    assert checkpoint_named("builtin") == builtin_checkpoint()
    assert checkpoint_named("./builtin") == Path("builtin")


def test_a_new_library_is_made_with_it_and_outlives_where_mirclr_is_installed(tmp_path, songs, in_this_process):
    library = tmp_path / "a.db"
    for _ in range(2):  # the second time the library knows
        result = invoke(["embed", str(songs[0].parent), "--library", str(library)])
        assert result.exit_code == 0, result.output
    with LibraryStore.open(library) as opened:
        assert opened.stamp is not None
        assert opened.stamp.name == "builtin"
    assert "nothing new" in result.output


def test_a_library_whose_encoder_is_gone_says_so(tmp_path, songs, in_this_process):
    mine, library = tmp_path / "mine.safetensors", tmp_path / "a.db"
    mine.write_bytes(builtin_checkpoint().read_bytes())
    arguments = ["embed", str(songs[0]), "--library", str(library)]
    assert invoke([*arguments, "--checkpoint", str(mine)]).exit_code == 0
    mine.unlink()
    result = invoke(arguments)
    assert result.exit_code == 2
    assert f"was made with {mine}, which is gone" in result.output


# what makes it


@pytest.fixture
def recipe(monkeypatch):
    """Imports a script of recipes/builtin by name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "recipes" / "builtin"))
    return importlib.import_module


def test_a_layer_that_becomes_the_head_gives_what_it_gave(recipe):
    torch.manual_seed(0)
    plain = {"name": "t", "data": {"train": "t"}, "mel": {"n_mels": 32}}
    model = Model(
        recipe_from(plain | {"encoder": {"name": "resnet", "widths": (4, 6), "blocks": (1, 1), "freq_collapse": 5}})
    )
    mel = torch.rand(16, 32, 40)
    model.train().encoder(mel)  # statistics other than 0 and 1
    layer = torch.nn.Linear(10, 3)
    headed = recipe("ship").with_head(model.eval(), layer.weight.detach(), layer.bias.detach())
    with torch.no_grad():
        torch.testing.assert_close(
            headed.encoder(mel) * (1 + 1e-5) ** 0.5, layer(model.encoder(mel)), rtol=1e-4, atol=1e-4
        )


def test_examples_are_drawn_by_their_number_and_name_the_tracks_that_they_are_of(recipe):
    examples = recipe("examples")
    rng = np.random.default_rng(0)
    lengths = (200_000, 90_000, 60_000, 20_000)  # one is shorter than an example
    noise = [(rng.standard_normal(n) * 3000).astype(np.int16) for n in lengths]
    tracks = [
        examples.Source(f"{i}", "ab"[i % 2], ("music", "voice")[i == 3], x, rms=0.1, slope=0.0, major=0.0)
        for i, x in enumerate(noise)
    ]
    first, again = (examples.Mixer(tracks, seed=5) for _ in range(2))
    for _ in range(40):
        x, source, weight, of_tracks = first.excerpt()
        same, *_ = again.excerpt()
        np.testing.assert_array_equal(x, same)
        assert x.shape == (examples.LENGTH,)
        assert np.abs(x).max() <= 1
        assert np.abs(of_tracks) < 9
        assert float(weight.sum()) == pytest.approx(1, abs=2e-3)
        assert ((source >= 0) == (weight > 0))[0]
        assert (weight[source < 0] == 0).all()


def test_views_are_balanced_as_an_encoder_would_hear_tracks_of_that_slope(recipe):
    examples, changes = recipe("examples"), recipe("changes")
    track = changes.tilted(np.random.default_rng(0).standard_normal(200_000).astype(np.float32) * 0.1, -2)
    of_track = slope(track, examples.RATE)
    source = examples.Source("1", "a", "music", (track * 32767).astype(np.int16), changes.rms(track), of_track, 0.0)
    x = track[: examples.LENGTH]
    for share in (0.0, 0.5, 1.0):
        view = examples.Mixer([source], 1, share).views(x, 4, of_track)[0]
        assert slope(view, examples.RATE) - USUAL_SLOPE == pytest.approx(
            (1 - share) * (of_track - USUAL_SLOPE), abs=0.2
        )
        assert changes.rms(view) == pytest.approx(changes.rms(x), rel=1e-3)


def test_heads_are_fitted_by_what_teachers_say_of_pieces(recipe):
    heads, rng, n, k = recipe("heads"), np.random.default_rng(0), 150, 2
    logits = rng.normal(-4, 1, (n, 1, 100)) + rng.normal(0, 0.1, (n, k, 100))
    mixing = rng.normal(size=(100, 130))
    vectors = [(part - part.mean(axis=0)) @ mixing for part in (logits.mean(axis=1), logits.reshape(n * k, 100))]
    found = heads.Reference(
        id=np.arange(n).astype(str),
        group=np.array([f"artist {i // 3}" if i % 5 else "artist 1+artist 2" for i in range(n)]),
        split=np.full(n, "train"),
        voiced=np.where(rng.random(n) < 0.3, 1.0, np.nan),
        logits=logits,
        voice_activity=rng.random((n, k, 2)) / 5,
        embedded=np.zeros((n, k, 1)),
    )
    # excerpts of training examples, of other music: half are of an artist of the pieces
    more = rng.normal(-4, 1, (80, 100))
    examples = heads.Examples(np.zeros((80, 1)), more, np.array([["" if i % 2 else "t1", "", ""] for i in range(80)]))
    artists = {"t1": "artist 1"}
    made, results = heads.fitted(found, *vectors, examples, (more - logits.mean(axis=(0, 1))) @ mixing, artists)
    assert {*made.tasks} == {*TASKS, TAG} == {*made.priors} == {*results["tasks"]}
    for task, head in made.tasks.items():
        p = head.predict_proba(vectors[0])
        assert p.mean() == pytest.approx(np.mean(list(made.priors[task].values())), abs=0.06), task
    assert min(results["tasks"][TAG]["auc"].values()) > 0.9  # all that teachers say is in these vectors
    assert all(prior == pytest.approx(0.1, abs=0.02) for prior in made.priors[TAG].values())
    np.testing.assert_allclose(made.tasks["genre"].predict_proba(vectors[0]).sum(axis=1), 1, atol=1e-6)


def test_a_voice_is_what_is_sung_or_spoken_whatever_the_tags_say(recipe):
    heads, rng = recipe("heads"), np.random.default_rng(0)
    activity = np.column_stack([np.zeros(5), [0.0, 0.05, 0.15, 0.4, 0.9]])
    unknown = np.full(5, np.nan)
    tables = [
        words.scores(logits, activity, unknown)["voice"]
        for logits in (rng.normal(size=(5, 100)), rng.normal(size=(5, 100)))
        for words in [heads.Words(logits, activity, unknown, np.ones(5))]
    ]
    np.testing.assert_array_equal(tables[0][:, 0], tables[1][:, 0])
    assert (np.diff(tables[0][:, 0]) > 0).all()
    assert tables[0][0, 0] < 0.1
    assert tables[0][-1, 0] > 0.8
    np.testing.assert_allclose(tables[0][:, 1] + tables[0][:, 2], tables[0][:, 0])
    assert heads.voiced(activity, np.where(np.arange(5) == 0, 1.0, np.nan))[0] == 1


def test_a_reference_of_before_is_read(recipe, tmp_path, embedder):
    heads, rng = recipe("heads"), np.random.default_rng(0)
    held = {name: np.array(["a", "b"]) for name in ("id", "group", "split")}
    held |= {"voiced": np.full(2, np.nan), "logits": rng.normal(size=(2, 3, 100)), "waveforms": np.zeros((2, 3, 1))}
    activity = rng.random((2, 3, 2))
    for folder in ("reference", "embedded"):
        (tmp_path / folder).mkdir()
    for shard, name in (("1", "heard"), ("2", "voice_activity")):
        np.savez(tmp_path / "reference" / f"{shard}.npz", **held, **{name: activity})
        np.save(tmp_path / "embedded" / f"{embedder.stamp.digest[:12]}-{shard}.npy", rng.normal(size=(2, 3, 4)))
    found = heads.Reference.read(tmp_path, embedder)
    np.testing.assert_array_equal(found.voice_activity, np.concatenate([activity, activity]))


def test_no_piece_is_judged_by_its_artist_nor_by_a_mixture(recipe):
    fold = recipe("heads").folds_of(np.array(["a", "b", "a+b", "a", "c", "d", "e"]))
    assert fold[2] == -1
    assert fold[0] == fold[3] >= 0


def test_reliability_of_what_is_true_is_without_error(recipe):
    p = np.random.default_rng(0).random((500, 3))
    found = recipe("heads").figures_of("abc", p, p)
    assert found["ece"] == pytest.approx(0, abs=1e-6)
    assert sum(n for _, _, n in found["bins"]) == 1500
    assert recipe("heads").figures_of("abc", p, np.where(p > 2, 1.0, 1e-9 * p))["ece"] == pytest.approx(
        float(p.mean()), abs=1e-3
    )
