"""Classes of a package that mirclr does not know, in recipes and in Python; and that no file imports any."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

import mirclr
from mirclr import extensions
from mirclr.audio.mel import LogMel
from mirclr.audio.views import Views
from mirclr.config import OwnObjective, parse_recipe, read_recipe, recipe_yaml
from mirclr.data.targets import Targets
from mirclr.errors import CheckpointError, LibraryError, RecipeError
from mirclr.library import LibraryStore
from mirclr.models.checkpoint import encoder_digest, load_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model
from mirclr.objectives import is_useful, objective_from
from mirclr.training.teacher import load_teacher
from tests.commands import exits

OUTSIDE = Path(__file__).parent / "outside"
RECIPE = OUTSIDE / "recipe.yaml"
NET = "lab.nets:Bands"


@pytest.fixture(autouse=True)
def stranger(monkeypatch):
    """Nothing of the package is known before a test, nor after it."""
    monkeypatch.setenv(extensions.VARIABLE, "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    forget()


def forget():
    for name in [n for n in sys.modules if n.partition(".")[0] == "lab"]:
        del sys.modules[name]


@pytest.fixture
def lab(monkeypatch):
    """The package as one that is installed."""
    monkeypatch.syspath_prepend(OUTSIDE)


@pytest.fixture(autouse=True)
def no_board(monkeypatch):
    monkeypatch.setattr("mirclr.training.trainer._tensorboard", lambda run: lambda step, metrics: None)


def least(**sections):
    return {"name": "a", "data": {"train": "t"}} | sections


# a recipe that is run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The recipe's run, by the command; the package is found beside the recipe."""
    patch = pytest.MonkeyPatch()
    with patch.context() as m:
        m.setenv(extensions.VARIABLE, "")
        m.setenv("MIRCLR_HOME", str(tmp_path_factory.mktemp("home")))
        m.setattr(sys, "path", [*sys.path])
        m.setattr("mirclr.data.clips.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))
        m.setattr("mirclr.training.trainer._tensorboard", lambda run: lambda step, metrics: None)
        run = tmp_path_factory.mktemp("run") / "run"
        mirclr.train(RECIPE, run, device="cpu", workers=1)
    forget()
    return run


def test_a_recipe_of_a_package_from_outside_is_trained(trained):
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert {"loss_objective", "loss_auxiliary_0", "loss_tags"} <= set(lines[0])
    assert all(np.isfinite(line["loss"]) for line in lines)
    resolved = yaml.safe_load((trained / "recipe.yaml").read_text())
    assert resolved["objective"] == {"weight": 1.0, "name": "lab.losses:Alignment", "settings": {"spread": 0.5}}
    assert resolved["encoder"]["entry_point"] == NET
    assert parse_recipe((trained / "recipe.yaml").read_text()) == read_recipe(RECIPE)


def test_its_run_goes_on_where_it_was_stopped(trained, tmp_path, in_this_process):
    constant = {"overrides": ["training.schedule=constant"], "device": "cpu", "workers": 1}
    whole = mirclr.train(RECIPE, tmp_path / "whole", **constant)
    shorter = constant["overrides"] + ["training.steps=2"]
    mirclr.train(RECIPE, tmp_path / "parts", overrides=shorter, device="cpu", workers=1)
    resumed = mirclr.train(RECIPE, tmp_path / "parts", resume=True, **constant)
    assert resumed.digest == whole.digest
    assert [line["loss"] for line in resumed.history] == [line["loss"] for line in whole.history]


def test_code_that_changed_since_is_told(tmp_path, in_this_process):
    for name in ("lab", "recipe.yaml"):
        copy = shutil.copytree if name == "lab" else shutil.copy
        copy(OUTSIDE / name, tmp_path / name)
    data = {
        "train": str(OUTSIDE.parents[1] / "recipes/smoke/tracks.jsonl"),
        "audio_root": str(OUTSIDE.parent / "audio"),
    }
    more = ["training.schedule=constant", f"data={json.dumps(data)}"]
    mirclr.train(tmp_path / "recipe.yaml", tmp_path / "run", overrides=[*more, "training.steps=1"], device="cpu")
    with (tmp_path / "lab" / "losses.py").open("a") as f:
        f.write("# a word more\n")
    notes = []
    mirclr.train(
        tmp_path / "recipe.yaml", tmp_path / "run", overrides=more, device="cpu", resume=True,
        callback=lambda report: notes.extend(report.notes),
    )  # fmt: skip
    assert notes == ["code has changed since this run began: lab.losses:Alignment, lab.losses:Proxies"]


def test_weights_of_a_loss_are_learned_and_kept(trained, lab):
    import lab.losses

    mirclr.allow_code(NET)
    state = load_checkpoint(trained / "state.safetensors")
    learned = state.training["criterion.auxiliary.0.module.proxies"]
    assert not torch.equal(learned, lab.losses.Proxies(4).proxies)
    assert any("proxies" in name for name in state.optimizer)


def test_in_python_a_class_stands_where_its_name_would(lab, tmp_path, in_this_process):
    from lab.losses import Alignment
    from lab.nets import Bands
    from lab.steps import Tremolo

    rng = np.random.default_rng(0)
    data = [0.1 * rng.standard_normal(16000).astype(np.float32) for _ in range(4)]
    tree = yaml.safe_load(RECIPE.read_text())
    del tree["distillation"], tree["auxiliary"]
    tree["data"] = {"train": "a dataset"}
    by_name = mirclr.train(tree, tmp_path / "a", [(y, None) for y in data], device="cpu")
    tree["objective"]["name"], tree["encoder"]["name"] = Alignment, Bands
    tree["augment"]["mel"][1]["name"] = Tremolo
    by_class = mirclr.train(tree, tmp_path / "b", [(y, None) for y in data], device="cpu")
    assert by_class.digest == by_name.digest
    vector = mirclr.load_encoder(by_class.checkpoint, "cpu").embed(data[0], 16000)
    assert vector.shape == (8,)


def test_a_class_in_a_function_has_no_name():
    class Local(torch.nn.Module):
        pass

    with pytest.raises(RecipeError, match="define it in a module"):
        mirclr.train(least(objective={"name": Local}), "run")


def test_what_is_resolved_names_the_classes():
    recipe = read_recipe(RECIPE)
    assert set(recipe.code) == {
        "lab.losses:Alignment", "lab.losses:Proxies", "lab.steps:Tremolo", NET, "lab.teachers:Loudness"
    }  # fmt: skip
    assert parse_recipe(recipe_yaml(recipe)) == recipe
    assert not any(n.partition(".")[0] == "lab" for n in sys.modules)  # reading imports nothing


# what is none


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lab.losses:Nothing", r"fails \(NotImplementedError: its method loss\(z, targets\) is missing\)"),
        ("lab.losses:Undefined", "not finite"),
        ("lab.losses:PerRow", r"fails \(RuntimeError"),
        ("lab.steps:Half", r"fails \("),  # a module, but one of another protocol
        ("lab.losses:Alignmnt", "lab.losses has no 'Alignmnt'; did you mean Alignment?"),
        ("lab.loses:Alignment", "there is no module 'lab.loses'; install its package, put its file beside"),
        ("labb:Alignment", "there is no module 'labb'"),
        ("lab.losses:__name__", "is of type str; expected a class"),
    ],
)
def test_what_is_no_loss_is_refused_in_a_line(lab, name, said):
    mirclr.allow_code(name)
    with pytest.raises(RecipeError, match=said) as raised:
        objective_from(OwnObjective(name=name), n_tracks=4, dim=4)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"objective: {name}") or f"objective: {name!r}" in str(raised.value)


def test_settings_that_a_class_does_not_take(lab):
    mirclr.allow_code("lab.losses:Alignment")
    with pytest.raises(RecipeError, match=r"with settings \{'radius': 1\} cannot be made \(TypeError"):
        objective_from(OwnObjective(name="lab.losses:Alignment", settings={"radius": 1}), n_tracks=4, dim=4)


@pytest.mark.parametrize(
    ("name", "form", "said"),
    [
        ("lab.steps:Shorter", "mel", r"given \(2, 96, 63\), gave \(2, 96, 62\)"),
        ("lab.steps:Half", "mel", "on_power"),
        ("lab.losses:Alignment", "mel", "cannot be made"),
        ("lab.nets:Bands", "waveform", "cannot be made"),
    ],
)
def test_what_is_no_augmentation_is_refused_in_a_line(lab, name, form, said):
    mirclr.allow_code(name)
    recipe = read_recipe_of(augment={form: [{"name": name}]}, audio={"clip_seconds": 1.0})
    with pytest.raises(RecipeError, match=said) as raised:
        Views(recipe, LogMel.of(recipe.mel, 16000))
    assert "\n" not in str(raised.value)


def read_recipe_of(**sections):
    return parse_recipe(yaml.safe_dump(least(**sections)))


def test_an_augmentation_is_the_same_however_a_batch_is_divided(lab):
    recipe = read_recipe(RECIPE)
    extensions.allow_named(recipe.code, OUTSIDE)
    views = Views(recipe, LogMel.of(recipe.mel, 16000))
    clips = torch.rand(6, 24, views.takes.length)
    whole = views(clips, torch.Generator().manual_seed(1))
    draws = [views.draw(6, torch.Generator().manual_seed(1), slice(a, a + 3)) for a in (0, 3)]
    parts = [views.apply_draws(clips[a : a + 3], d) for a, d in zip((0, 3), draws, strict=True)]
    torch.testing.assert_close(torch.cat(parts), whole)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lab.teachers:Tagless", r"gave \[\(2, 4\), \(2, 24\), \(2, 0\)\]; expected \[\(2, 5\), \(2, 24\), \(2, 0\)\]"),
        ("lab.nets:Bands", "gave a Bands; expected a mirclr.training.teacher.Teacher"),
    ],
)
def test_what_is_no_teacher_is_refused_in_a_line(lab, name, said):
    mirclr.allow_code(name)
    with pytest.raises(RecipeError, match=said):
        load_teacher(name)


def test_settings_need_a_class_to_take_them():
    with pytest.raises(RecipeError, match="settings go with a class"):
        read_recipe_of(distillation={"teacher": "builtin", "settings": {"a": 1}})
    with pytest.raises(RecipeError, match=r"stands below: objective\.settings\.spread"):
        read_recipe_of(objective={"name": "lab.losses:Alignment", "spread": 1})
    with pytest.raises(RecipeError, match=r"'lab\.losses:' is no name of a class; expected package\.module:Class"):
        read_recipe_of(objective={"name": "lab.losses:"})


def test_a_module_s_input_is_that_of_the_recipe(lab):
    mirclr.allow_code(NET)
    with pytest.raises(RecipeError, match="takes mel; add input: mel"):
        Model(read_recipe_of(encoder={"name": NET}))


# losses of other packages


def test_losses_of_pytorch_metric_learning_are_objectives():
    """Its NT-Xent, by name, is ours, and a batch of one class is of no use to it."""
    pytest.importorskip("pytorch_metric_learning")
    name = "pytorch_metric_learning.losses:NTXentLoss"
    mirclr.allow_code(name)
    settings = OwnObjective(name=name, settings={"temperature": 0.2})
    theirs = objective_from(settings, n_tracks=8, dim=4)
    ours = objective_from(
        read_recipe_of(objective={"name": "nt_xent", "temperature": 0.2}).objective, n_tracks=8, dim=4
    )
    z, instance = torch.randn(8, 4), torch.arange(4).repeat(2)
    torch.testing.assert_close(theirs(z, instance), ours(z, instance), atol=1e-5, rtol=1e-5)
    assert is_useful(settings, Targets(instance))
    assert not is_useful(settings, Targets(torch.zeros(4, dtype=torch.int64)))


def test_labels_are_numbers_that_are_equal_within_a_class(lab):
    seen = []

    class Seeing(torch.nn.Module):
        def forward(self, z, labels):
            seen.append(labels.tolist())
            return z.sum()

    from mirclr.objectives import ModuleObjective

    rows = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 0]]).repeat(2, 1)
    ModuleObjective(Seeing())(torch.randn(8, 2), Targets(torch.arange(4).repeat(2), labels=rows))
    assert seen == [[0, 1, 0, 3, 0, 1, 0, 3]]


# files


def test_nothing_is_imported_because_a_checkpoint_or_a_library_names_it(trained, lab, tmp_path, capsys):
    encoder = trained / "encoder.safetensors"
    with pytest.raises(
        CheckpointError,
        match=r"'lab\.nets:Bands' is not registered, and is not imported .* mirclr --allow-code lab\.ne",
    ):
        mirclr.load_encoder(encoder)
    with safe_open(encoder, framework="pt") as f:
        recipe = json.loads(f.metadata()["mirclr"])["recipe"]
    with pytest.raises(RecipeError, match="is not registered"):  # the baseline of a library's recipe
        Embedder.with_random_weights(recipe, excerpts=2)
    code, _, err = exits(capsys, "checkpoint", "info", encoder)
    assert code == 1
    assert f"mirclr --allow-code {NET}" in err
    assert "lab.nets" not in sys.modules


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "builtins:exec"])
def test_a_file_can_call_nothing(trained, tmp_path, name):
    path = tmp_path / "a.safetensors"
    with safe_open(trained / "encoder.safetensors", framework="pt") as f:
        header, tensors = json.loads(f.metadata()["mirclr"]), {n: f.get_tensor(n) for n in f.keys()}  # noqa: SIM118
    header["recipe"]["encoder"] |= {"entry_point": name, "settings": {"args": "echo"}}
    save_file(tensors, path, {"mirclr": json.dumps(header)})
    mirclr.allow_code(NET)  # to allow one is not to allow another
    with pytest.raises(CheckpointError, match="is not registered"):
        load_checkpoint(path)


def test_a_person_s_word_allows_it(trained, lab, music, tmp_path, capsys, in_this_process):
    encoder = trained / "encoder.safetensors"
    library = tmp_path / "lib.db"
    code, _, err = exits(
        capsys, "--allow-code", NET, "embed", music, "--library", library, "--checkpoint", encoder, "--workers", 1
    )
    assert code == 0, err
    mirclr.allow_code(NET)
    assert encoder_digest(load_checkpoint(encoder).model) == mirclr.load_encoder(encoder, "cpu").stamp.digest
    with LibraryStore.open(library) as held:
        assert held.stamp.recipe["encoder"]["entry_point"] == NET
        assert held.stamp.digest == mirclr.load_encoder(encoder, "cpu").stamp.digest


def test_a_class_alone_is_an_encoder_where_a_person_names_it(
    lab, music, tmp_path, capsys, monkeypatch, in_this_process
):
    library = tmp_path / "lib.db"
    assert mirclr.load_encoder(NET, "cpu", recipe={"mel": {"n_mels": 96}}).dim == 8
    code, _, err = exits(capsys, "embed", music, "--library", library, "--checkpoint", NET, "--workers", 1)
    assert code == 0, err
    monkeypatch.setenv(extensions.VARIABLE, "")
    with (
        mirclr.Library.open(library) as held,
        pytest.raises(LibraryError, match=rf"is not imported .* --checkpoint {NET}"),
    ):
        held.encoder  # noqa: B018
    code, _, err = exits(capsys, "sync", "--library", library)
    assert code == 2
    assert f"was made with {NET}, a class that is not imported" in err
    assert "gone" not in err
    monkeypatch.setenv(extensions.VARIABLE, f" {NET} ,other:Thing")  # as a person sets it
    assert extensions.allowed() == {NET, "other:Thing"}


def test_a_teacher_that_a_person_names_labels_a_corpus(lab, tmp_path, capsys, in_this_process):
    tracks, audio = OUTSIDE.parents[1] / "recipes/smoke/tracks.jsonl", OUTSIDE.parent / "audio"
    code, out, err = exits(
        capsys, "teacher", "label", tracks, "-o", tmp_path / "labels", "--teacher", "lab.teachers:Loudness",
        "--audio-root", audio, "--device", "cpu", "--workers", 1, "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["tags"] == ["low", "lower middle", "upper middle", "high"]
    assert json.loads(out)["tracks"] == 4


def test_what_is_no_name_cannot_be_allowed(capsys):
    for name in ("lab", "lab.nets", "lab.nets:", ":Bands", "lab nets:Bands", "a/b:C", "C:x.safetensors"):
        with pytest.raises(RecipeError, match="is no name of a class"):
            mirclr.allow_code(name)
    assert exits(capsys, "--allow-code", "lab", "library", "--help")[0] == 1


def test_a_module_beside_the_recipe_hides_no_other(tmp_path):
    shutil.copytree(OUTSIDE / "lab", tmp_path / "json")
    with pytest.raises(RecipeError, match="has the name of another module"):
        extensions.allow_named(["json.nets:Bands"], tmp_path)
    (tmp_path / "my_one_loss.py").write_text("class A: pass\n")
    before = [*sys.path]
    extensions.allow_named(["my_one_loss:A"], tmp_path)
    assert sys.path == [*before, str(tmp_path.resolve())]
    assert extensions.load_class("my_one_loss:A", "objective").__name__ == "A"
    del sys.modules["my_one_loss"]


def test_code_that_ends_the_process_is_an_error_like_any_other(tmp_path):
    (tmp_path / "my_trap.py").write_text("raise SystemExit('imported')\n")
    extensions.allow_named(["my_trap:A"], tmp_path)
    with pytest.raises(RecipeError, match=r"cannot be imported \(SystemExit: imported\)"):
        extensions.load_class("my_trap:A", "objective")
