"""Encoders of one's own: registered by an entry point, or passed in."""

import json
import pickle
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import mirclr
from mirclr.config import parse_recipe, recipe_from
from mirclr.errors import CheckpointError, EncoderMismatch, LibraryError, RecipeError
from mirclr.models.checkpoint import encoder_digest, load_checkpoint, save_checkpoint
from mirclr.models.encoder import Model
from mirclr.models.own import GROUP
from tests.own_encoders import Bands, Waves, WavesOfOthers

SMALL = {"audio": {"clip_seconds": 1.0}, "embedding": {"excerpts": 3}}
RECIPE = """
name: own
data: {train: tracks.jsonl}
audio: {clip_seconds: 1.0}
embedding: {excerpts: 3}
encoder: {name: registered, entry_point: waves, settings: {width: 4}}
"""


@pytest.fixture
def registered(monkeypatch):
    """Register entry points, by name, of this test's module of encoders."""

    def register(**points: str) -> None:
        found = EntryPoints(EntryPoint(name, f"tests.own_encoders:{value}", GROUP) for name, value in points.items())
        monkeypatch.setattr("mirclr.models.own.entry_points", lambda *, group: found if group == GROUP else None)

    register(waves="Waves", function="waves", nothing="nothing", broken="broken", gone="Gone")
    return register


def seeded(make, *arguments):
    torch.manual_seed(0)
    return make(*arguments)


# passed in


@pytest.mark.parametrize(("make", "dim"), [(Waves, 6), (Bands, 192)])
def test_any_module_embeds(make, dim, songs, in_this_process):
    encoder = mirclr.load_encoder(seeded(make), "cpu", recipe=SMALL)
    assert (encoder.dim, encoder.seconds, encoder.excerpts) == (dim, 1.0, 3)
    vectors = np.stack([encoder.embed_file(song) for song in songs])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    rows, starts = encoder.embed_segments(songs[0], hop=2.0)
    assert rows.shape == (len(starts), dim)
    again = mirclr.load_encoder(seeded(make), "cpu", recipe=SMALL)
    assert again.stamp == encoder.stamp
    np.testing.assert_array_equal(again.embed_files(songs), vectors)


def test_its_input_is_what_it_is_given(songs):
    """What the module sees is the front end of the recipe, in evaluation mode."""
    seen = []

    class Seeing(nn.Module):
        input = "mel"

        def forward(self, x):
            seen.append((tuple(x.shape), self.training))
            return x.mean(dim=2)

    recipe = {"audio": {"clip_seconds": 2.0}, "embedding": {"excerpts": 5}}
    mirclr.load_encoder(Seeing().train(), "cpu", recipe=recipe).embed_file(songs[0])
    assert seen == [((2, 96, 126), False), ((5, 96, 126), False)]


class Wrong(nn.Module):
    def __init__(self, give):
        super().__init__()
        self.give = give

    def forward(self, x):
        return self.give(x)


WRONG = {
    "a tuple": (lambda x: (x, x), "gave a tuple"),
    "one number": (lambda x: x.mean(), r"of shape \(\)"),
    "three axes": (lambda x: x[:, None, None], r"of shape \(2, 1, 1, 16000\)"),
    "another batch": (lambda x: x[:1], "gave 1 rows"),
    "no component": (lambda x: x[:, :0], r"of shape \(2, 0\)"),
    "whole numbers": (lambda x: x.long(), "torch.int64"),
    "an error": (lambda x: x @ x, r"fails on it \(RuntimeError"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_encoder_is_refused_in_a_line(name):
    give, text = WRONG[name]
    with pytest.raises(
        RecipeError, match=rf"the encoder \S*test_api_own_encoder\.Wrong takes \(2, 16000\).*{text}"
    ) as raised:
        mirclr.load_encoder(Wrong(give), recipe=SMALL)
    assert "\n" not in str(raised.value)


def test_a_library_made_by_one_refuses_others(music, tmp_path, in_this_process):
    mine = mirclr.load_encoder(seeded(Waves), "cpu", recipe=SMALL)
    path = tmp_path / "lib.db"
    with mirclr.Library.open(path, create=True) as library:
        assert library.embed(music, encoder=mine).embedded == 4
        assert library.recommend(music / "a.ogg", n=2, artist_cap=0)
    other_settings = SMALL | {"encoder": {"name": "registered", "entry_point": "waves", "settings": {"width": 6}}}
    others = {
        "weights": mirclr.load_encoder(Waves(), "cpu", recipe=SMALL),
        "class": mirclr.load_encoder(seeded(WavesOfOthers), "cpu", recipe=SMALL),
        "settings": mirclr.load_encoder(seeded(Waves), "cpu", recipe=other_settings),
        "audio": mirclr.load_encoder(seeded(Waves), "cpu", recipe=SMALL | {"audio": {"clip_seconds": 2.0}}),
        "built-in": mirclr.load_encoder(device="cpu"),
    }
    assert len({encoder.stamp.digest for encoder in others.values()} | {mine.stamp.digest}) == 6
    with mirclr.Library.open(path) as library:
        for other in others.values():
            with pytest.raises(EncoderMismatch, match=r"tests\.own_encoders\.Waves"):
                library.embed(music, encoder=other)
        with pytest.raises(
            LibraryError, match=r"name that encoder: --checkpoint tests\.own_encoders\.Waves.*library\.encoder ="
        ):
            library.embed(music)
        assert library.embed(music, encoder=mirclr.load_encoder(seeded(Waves), "cpu", recipe=SMALL)).unchanged == 4


def test_one_that_is_passed_in_is_not_pickled():
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(mirclr.load_encoder(Waves(), recipe=SMALL))


# registered


def test_a_recipe_names_one_that_is_registered(registered, tmp_path, songs):
    recipe = parse_recipe(RECIPE)
    model = seeded(Model, recipe)
    assert isinstance(model.encoder.module, Waves)
    assert model.encoder.dim == 4
    save_checkpoint(tmp_path / "a.safetensors", model, {})
    encoder = mirclr.load_encoder(tmp_path / "a.safetensors", "cpu")
    assert encoder.stamp.digest == encoder_digest(model)
    passed = mirclr.load_encoder(model.encoder.module, "cpu", recipe=recipe)
    np.testing.assert_array_equal(encoder.embed_file(songs[0]), passed.embed_file(songs[0]))
    assert passed.stamp.digest == encoder.stamp.digest
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.embed_file(songs[0]), encoder.embed_file(songs[0]))


def test_the_name_that_it_is_registered_by_does_not_matter(registered, tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", seeded(Model, parse_recipe(RECIPE)), {})
    digest = load_checkpoint(tmp_path / "a.safetensors").digest
    function = parse_recipe(RECIPE, overrides=["encoder.entry_point=function"])
    assert encoder_digest(seeded(Model, function)) == digest
    wider = parse_recipe(RECIPE, overrides=["encoder.settings.width=5"])
    assert encoder_digest(seeded(Model, wider)) != digest


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "unknown",
            r"'unknown' is not registered; .* group mirclr\.encoders \(registered here: broken, function, gone",
        ),
        ("nothing", "expected a torch.nn.Module"),
        ("broken", r"cannot be made \(OSError: weights are missing\)"),
        ("gone", r"cannot be made \(AttributeError"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_line(registered, name, text):
    recipe = parse_recipe(RECIPE, overrides=[f"encoder.entry_point={name}", "encoder.settings={}"])
    with pytest.raises(RecipeError, match=text) as raised:
        Model(recipe)
    assert "\n" not in str(raised.value)


def test_settings_that_it_does_not_take(registered):
    with pytest.raises(RecipeError, match=r"settings \{'height': 3\} cannot be made \(TypeError"):
        Model(parse_recipe(RECIPE, overrides=["encoder.settings={height: 3}"]))


def test_two_of_one_name_are_refused(monkeypatch):
    points = EntryPoints(EntryPoint("waves", f"tests.own_encoders:{n}", GROUP) for n in ("Waves", "WavesOfOthers"))
    monkeypatch.setattr("mirclr.models.own.entry_points", lambda *, group: points)
    with pytest.raises(RecipeError, match="registered more than once"):
        Model(parse_recipe(RECIPE))


# checkpoints


def test_nothing_is_imported_because_a_file_names_it(registered, tmp_path, monkeypatch):
    """A checkpoint that names a module by its path is refused, and the module is not imported."""
    trap = tmp_path / "trap.py"
    trap.write_text("raise SystemExit('imported')\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, seeded(Model, parse_recipe(RECIPE)), {})
    with safe_open(path, framework="pt") as f:
        header, tensors = json.loads(f.metadata()["mirclr"]), {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
    for name in ("trap:Net", "trap.Net", "trap", "os:system"):
        header["recipe"]["encoder"]["entry_point"] = header["encoder_class"] = name
        save_file(tensors, path, {"mirclr": json.dumps(header)})
        with pytest.raises(CheckpointError, match=rf"a\.safetensors: encoder\.entry_point: {name!r} is not registered"):
            load_checkpoint(path)
    assert "trap" not in sys.modules


def test_a_checkpoint_is_of_one_class(registered, tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", seeded(Model, parse_recipe(RECIPE)), {})
    registered(waves="WavesOfOthers")
    with pytest.raises(
        CheckpointError, match=r"of the class tests\.own_encoders\.Waves, and was given .*WavesOfOthers"
    ):
        load_checkpoint(tmp_path / "a.safetensors")


def test_weights_of_another_shape_are_refused(registered, tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", seeded(Model, parse_recipe(RECIPE)), {})
    with pytest.raises(CheckpointError, match="its weights do not fit its recipe"):
        load_checkpoint(tmp_path / "a.safetensors", Waves(7))


def test_a_checkpoint_of_a_module_that_was_passed_in(tmp_path, songs):
    recipe = recipe_from(SMALL | {"name": "own", "data": {"train": "t"}})
    encoder = mirclr.load_encoder(seeded(Waves), "cpu", recipe=recipe)
    save_checkpoint(tmp_path / "a.safetensors", encoder.network.model, {})
    with pytest.raises(CheckpointError, match=r"'tests\.own_encoders\.Waves' is not registered; .* pass the module"):
        mirclr.load_encoder(tmp_path / "a.safetensors")
    again = mirclr.load_encoder(tmp_path / "a.safetensors", "cpu", module=Waves())
    assert again.stamp.digest == encoder.stamp.digest
    np.testing.assert_array_equal(again.embed_file(songs[0]), encoder.embed_file(songs[0]))
    with pytest.raises(CheckpointError, match="and was given"):
        mirclr.load_encoder(tmp_path / "a.safetensors", module=WavesOfOthers())


def test_a_module_for_a_checkpoint_of_ours_is_refused(checkpoint: Path):
    with pytest.raises(CheckpointError, match="its encoder is mirclr's own resnet"):
        mirclr.load_encoder(checkpoint, module=Waves())


def test_one_that_was_compiled_is_what_it_was_compiled_from(tmp_path):
    own = seeded(Waves)
    plain = mirclr.load_encoder(own, "cpu", recipe=SMALL)
    compiled = mirclr.load_encoder(torch.compile(own, backend="eager"), "cpu", recipe=SMALL)
    assert compiled.stamp == plain.stamp
    y = 0.1 * np.random.default_rng(0).standard_normal(32000)
    np.testing.assert_array_equal(compiled.embed(y, 16000), plain.embed(y, 16000))


def test_one_that_has_a_length_of_none_is_taken(tmp_path):
    """A container without modules is false, and an encoder."""
    assert mirclr.load_encoder(nn.Sequential(), "cpu", recipe=SMALL).dim == 16000
