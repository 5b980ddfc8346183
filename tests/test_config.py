import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirclr import config
from mirclr.config import Recipe, parse_recipe, read_recipe, recipe_from, recipe_yaml
from mirclr.config.wording import known_settings
from mirclr.errors import OverrideError, RecipeError
from mirclr.provenance import shipped_dir
from tests.commands import main

LEAST = "name: a\ndata: {train: t.jsonl}\n"
RECIPES = sorted(shipped_dir("recipes").glob("*/recipe.yaml"))


def parse(text: str = "", *overrides: str) -> Recipe:
    return parse_recipe(LEAST + text, overrides=overrides, where="my.yaml")


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "0.001", ".001", "+1.0e-3", "1.e-3"])
def test_numbers_are_those_of_yaml_1_2(text: str) -> None:
    assert parse(f"training: {{lr: {text}}}").training.lr == 0.001
    assert parse("", f"training.lr={text}").training.lr == 0.001


@pytest.mark.parametrize(("text", "value"), [("010", 10), ("08", 8), ("-7", -7), ("+7", 7), ("0", 0)])
def test_whole_numbers_are_decimal(text: str, value: int) -> None:
    assert parse(f"seed: {text}").seed == value


@pytest.mark.parametrize(
    "text", ["no", "yes", "on", "off", "No", "ON", "y", "2020-01-01", "1:30", "1_000", "0x1F", "nil"]
)
def test_what_yaml_1_1_took_for_other_things_stays_text(text: str) -> None:
    assert parse("", f"name={text}").name == text


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("TRUE", True)])
def test_booleans_are_true_and_false(text: str, value: bool) -> None:
    assert parse(f"objective: {{name: nt_xent, decoupled: {text}}}").objective.decoupled is value


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("seed: '5'", "seed", "'5'"),
        ("seed: true", "seed", "True"),
        ("seed: 1.5", "seed", "1.5"),
        ("seed:", "seed", "None"),
        ("name: 5", "name", "twice"),
        ("training: {lr: '1e-3'}", "training.lr", "'1e-3'"),
        ("training: {lr: 0}", "training.lr", "0"),
        ("training: {lr: .inf}", "training.lr", "inf"),
        ("training: {lr: .nan}", "training.lr", "nan"),
        ("training: {lr: 1e999}", "training.lr", "inf"),
        ("training: {batch: 1}", "training.batch", "1"),
        ("training: {precision: float16}", "training.precision", "'float16'"),
        ("training: 3", "training", "3"),
        ("trainig: {}", "trainig", "{}"),
        ("training: {epochs: 3}", "training.epochs", "3"),
        ("objective: {name: nt_xent, decoupled: no}", "objective.decoupled", "'no'"),
        ("audio: {sample_rate: 7999}", "audio.sample_rate", "7999"),
        ("audio: {clip_seconds: 0.4}", "audio.clip_seconds", "0.4"),
        ("mel: {n_mels: 1}", "mel.n_mels", "1"),
        ("augment: {mel: [{name: gian}]}", "augment.mel.0", "gian"),
        ("augment: {mel: [{p: 1}]}", "augment.mel.0", "{'p': 1}"),
        ("augment: {mel: [{name: gain, p: 1.01}]}", "augment.mel.0.p", "1.01"),
        ("augment: {mel: [{name: gain, db: 3}]}", "augment.mel.0.db", "3"),
        ("augment: {mel: [{name: gain, db: [1, 2, 3]}]}", "augment.mel.0.db", "[1, 2, 3]"),
        ("augment: {mel: [{name: gain, db: ['1', 2]}]}", "augment.mel.0.db.0", "'1'"),
        ("augment: {mel: [{name: gain, db: [3, -3]}]}", "augment.mel.0.db", "3 stands before -3"),
        ("augment: {mel: [{name: time_stretch, rate: [0.1, 1]}]}", "augment.mel.0.rate.0", "0.1"),
        ("augment: {mel: [{name: time_stretch, rate: [1.2, 0.8]}]}", "rate", "1.2 stands before 0.8"),
        ("augment: {mel: [{name: filter, low_pass_hz: [9, 3]}]}", "low_pass_hz", "9 stands before 3"),
        ("augment: {mel: [{name: time_stretch}], waveform: [{name: time_stretch}]}", "augment", "more than once"),
        ("augment: {mel: [{name: frequency_mask, fraction: 1}]}", "fraction", "1"),
        ("augment: {gap_seconds: -1}", "augment.gap_seconds", "-1"),
        ("encoder: {name: vit}", "encoder", "vit"),
        ("encoder: {name: resnet, widths: [8, 16], blocks: [1]}", "encoder", "2 widths but 1 blocks"),
        ("encoder: {name: resnet, dropout: 0.1}", "encoder.dropout", "0.1"),
        ("encoder: {name: sample_cnn}\naugment: {mel: [{name: gain}]}", "augment.mel", "waveform"),
        ("encoder: {name: sample_cnn_pooled}\naudio: {clip_seconds: 1.2}", "audio.clip_seconds is 1.2", "1.23 s"),
        ("encoder: {name: sample_cnn}\naudio: {clip_seconds: 1.2}", "audio.clip_seconds is 1.2", "3.691 s"),
        ("mel: {f_max: 8001}", "mel.f_max", "8001"),
        ("mel: {f_min: 8000}", "mel.f_min", "8000"),
        ("mel: {f_min: 500, f_max: 400}", "mel.f_min", "500"),
        ("seed: !!int x", "not valid YAML", "'x'"),
        ("seed: [", "not valid YAML", "line 3"),
        ("seed: *gone", "not valid YAML", "gone"),
        ("seed: \t1\n\tname: b", "not valid YAML", "line 3"),
        ("training: {lr: 1, lr: 2}", "line 3", "lr"),
        ("seed: 1\nseed: 1", "line 1", "seed stands twice"),
        ("validation: &a [*a]", "plain values", "Circular"),
        ("? [a]\n: b", "not valid YAML", "unhashable"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_placed(text: str, place: str, found: str) -> None:
    with pytest.raises(RecipeError) as raised:
        parse(text)
    message = str(raised.value)
    assert message.startswith("my.yaml: ")
    assert place in message
    assert found in message
    assert "\n" not in message


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(RecipeError, match=r"name: .*data: .*mel\.hop_length: .*found 0"):
        parse_recipe("mel: {hop_length: 0}")


@pytest.mark.parametrize("text", ["", "# nothing", "[]", "- name: a", "5", "text", "null"])
def test_what_is_no_mapping_is_no_recipe(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^recipe: "):
        parse_recipe(text)


def test_the_least_recipe_has_every_default() -> None:
    recipe = parse()
    assert recipe == Recipe(name="a", data=config.Data(train="t.jsonl"))
    assert recipe.encoder == config.ResNet()
    assert recipe.augment.mel == ()


def test_steps_keep_their_order_and_kind() -> None:
    recipe = parse(
        "augment: {mel: [{name: background_mix}, {name: gain, p: 1, db: [-3, 3]}, {name: background_mix, p: 0}]}"
    )
    assert recipe.augment.mel == (config.BackgroundMix(), config.Gain(p=1, db=(-3, 3)), config.BackgroundMix(p=0))


ANY_OTHER = ["no such", -(10**6), 1.5, True, None, [], [1, 2, 3], {"a": 1}, {"name": "other"}]


def test_no_sentence_of_pydantic_is_seen() -> None:
    """Whatever stands in place of any setting is refused in words of ours, in a recipe as in Python."""
    for setting in (*known_settings(Recipe), "other", "augment.mel.0", "augment.mel.0.p", "auxiliary.0.objective"):
        for value in ANY_OTHER:
            tree = recipe_from({"name": "a", "data": {"train": "t"}}).model_dump(mode="json")
            steps = [{"name": "gain"}]
            tree |= {"augment": {"mel": steps, "mixup": {}}, "auxiliary": [{"objective": {"name": "nt_xent"}}]}
            tree |= {"distillation": {"labels": "a"}, "validation": {"manifest": "a"}}
            node: Any = tree
            *parents, last = setting.split(".")
            for part in parents:
                node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
                if node is None:
                    break
            if node is None:
                continue
            node[int(last) if isinstance(node, list) else last] = value
            try:
                recipe_from(tree)
            except RecipeError as error:
                assert_in_our_words(str(error))
            try:
                Recipe(**tree)
            except RecipeError as error:
                assert_in_our_words(str(error))


def assert_in_our_words(text: str) -> None:
    assert "\n" not in text
    for theirs in ("Input should", "a valid", "pydantic", "Extra inputs", "type=", "another value", "Field required"):
        assert theirs not in text, text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: 3", "no setting 'steps' (found 3); did you mean training.steps?"),
        ("learning_rate: 1", "did you mean training.lr?"),
        ("training: {epochs: 3}", "no setting 'training.epochs' (found 3); did you mean training.steps?"),
        ("training: {temperature: 1}", "did you mean objective.temperature or distillation.temperature?"),
        ("objective: {name: nt_xent, temprature: 1}", "did you mean objective.temperature?"),
        ("objective: {name: n_pair, temperature: 1}", "no setting 'objective.temperature'"),
        ("encoder: {name: resnett}", "encoder.name: no 'resnett' is known; did you mean resnet?"),
        ("training: {precision: bfloat}", "did you mean bfloat16?"),
        ("distillation: {labels: x, alpha: x}", "distillation.alpha: expected a number or 'only', found 'x'"),
        ("seed: 1.5", "seed: expected a whole number, found 1.5"),
        ("training: {batch: 1}", "training.batch: expected 2 or more, found 1"),
        ("description: 5", "the keys there are audio, augment, "),
        ("encoder: {name:resnet}", "encoder: found {'name:resnet': None}; put a space after the colon"),
    ],
)
def test_what_may_have_been_meant_is_said(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        parse(text)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: \t1\n\tname: b", "line 3: a tab stands where a value begins; indent with spaces"),
        ("training:\n  steps: 3\n lr: 2", "line 5: the indentation does not fit"),
        ("validation:\n  manifest: a: b", "line 4: a colon stands within a value"),
        ("validation: {manifest: x", "line 3: the text ends within brackets or quotes"),
        ("validation: {manifest: @x}", "line 3: @ cannot begin a value; put the value in quotes"),
        ("seed: *gone", "line 3: *gone stands for nothing"),
    ],
)
def test_slips_of_yaml_are_told_with_their_line(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=r"^my\.yaml: not valid YAML: line") as raised:
        parse(text)
    assert said in str(raised.value)


def test_a_recipe_that_mirclr_brings_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in RECIPES:
        assert config.find_recipe(Path(path.parent.name)) == path
    (tmp_path / "smoke").write_text(LEAST)
    (tmp_path / "mine.yaml").write_text(LEAST)
    assert config.find_recipe(Path("smoke")) == Path("smoke")  # a file of that name comes first
    for name, said in (
        ("debian_ntxnt", r"did you mean debian_ntxent\?"),
        ("min.yaml", r"did you mean mine\.yaml\?"),
        ("nothing/at/all.yaml", "the recipes that mirclr brings are builtin, cluster, debian_ntxent, "),
    ):
        with pytest.raises(RecipeError, match=said):
            read_recipe(config.find_recipe(Path(name)))


def test_a_list_of_keys_is_read_once() -> None:
    with pytest.raises(RecipeError) as raised:
        parse("abc: 1\nxyz: 2\nobjective: {name: nt_xent, xyzw: 1}")
    assert str(raised.value).count("the keys there are audio, ") == 1
    assert str(raised.value).count("the keys there are ") == 2


def test_in_python_too() -> None:
    with pytest.raises(RecipeError, match=r"^Gain: p: expected 1 or less, found 2$"):
        config.Gain(p=2)
    with pytest.raises(RecipeError, match=r"^Training: no setting 'step' \(found 3\); did you mean steps\?$"):
        config.Training(step=3)  # type: ignore[call-arg]


# --set


def test_overrides_reach_every_depth_in_order() -> None:
    recipe = parse(
        "augment: {mel: [{name: gain}, {name: noise, p: 0.1}]}\n"
        "encoder: {name: resnet, widths: [8, 16], blocks: [1, 1]}",
        "seed=3",
        "training.steps=5",
        "training.steps=6",
        "training.clip_norm=null",
        "augment.mel.1.p=0.25",
        "augment.mel.0={name: polarity, p: 1}",
        "encoder.widths=[4, 12]",
        "encoder.blocks.1=2",
        "validation.manifest=v.jsonl",
        "name=a=b",
    )
    assert (recipe.seed, recipe.training.steps, recipe.training.clip_norm) == (3, 6, None)
    assert recipe.augment.mel == (config.Polarity(p=1), config.Noise(p=0.25))
    assert recipe.encoder == config.ResNet(widths=(4, 12), blocks=(1, 2))
    assert recipe.validation == config.Validation(manifest="v.jsonl")
    assert recipe.name == "a=b"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed", "--set seed: expected dotted.key=value"),
        ("=3", "--set =3: expected dotted.key=value"),
        ("seed=x", "my.yaml: seed: "),
        ("sed=3", "my.yaml: no setting 'sed' (found 3); did you mean seed?"),
        ("training.lr=[1", "--set training.lr=[1: not valid YAML"),
        ("training={lr: 1, lr: 2}", "lr stands twice"),
        ("augment.mel.1.p=0", "--set augment.mel.1.p=0: '1' is not a place in a list of 1"),
        ("augment.mel.-1.p=0", "'-1' is not a place"),
        ("augment.mel.²={}", "'²' is not a place"),
        ("augment.mel.gain.p=0", "'gain' is not a place"),
        ("encoder.widths.0.x=1", "place 0 holds 8, which has no parts"),
        ("training..lr=1", "my.yaml: no setting 'training.'"),
    ],
)
def test_a_wrong_override_is_shown(override: str, said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        parse("augment: {mel: [{name: gain}]}\nencoder: {name: resnet, widths: [8], blocks: [1]}", override)
    assert said in str(raised.value)


def test_a_section_that_is_left_out_begins_with_its_default() -> None:
    recipe = parse("", "objective.temperature=0.2", "encoder.widths=[4]", "encoder.blocks=[1]", "training.lr=0.5")
    assert recipe.objective == config.NTXent(temperature=0.2)
    assert recipe.encoder == config.ResNet(widths=(4,), blocks=(1,))
    assert parse("", "objective.name=triplet", "objective.margin=0.3").objective == config.Triplet(margin=0.3)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainig.steps=3", "did you mean training?"),
        ("training.step=3", "did you mean training.steps?"),
        ("objective.temprature=0.2", "did you mean objective.temperature?"),
        ("augment.mixup.alhpa=0.2", "did you mean augment.mixup.alpha?"),
        ("data.xyz=1", "the keys there are audio_root, "),
        ("training.steps=many", "training.steps: "),
        ("training.steps=", "training.steps: "),
        ("training.lr=1 : :", "not valid YAML"),
    ],
)
def test_a_wrong_override_is_wrong_usage_and_what_is_near_is_named(
    tmp_path: Path, override: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OverrideError) as raised:
        parse("", override)
    assert said in str(raised.value)
    (tmp_path / "a.yaml").write_text(LEAST, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["train", str(tmp_path / "a.yaml"), "-o", str(tmp_path / "run"), "--set", override])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_is_wrong_in_the_file_is_not_laid_on_an_override() -> None:
    with pytest.raises(RecipeError) as raised:
        parse("seed: x", "training.steps=3")
    assert not isinstance(raised.value, OverrideError)


# no recipe, whatever it is


LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "more than 10000 values"),
        ("a:\n" + "".join(f"  k{i}: 1\n" for i in range(40_000)), "more than 10000 values"),
        ("[" * 100_000, "levels deep"),
        ("{a: " * 100_000, "levels deep"),
        ("- " * 100_000, "levels deep"),
        ("a: &a [*a]", "Circular"),
        ("seed: !!bool maybe", "not valid YAML"),
        ("seed: !!float ''", "not valid YAML"),
        ("seed: !!timestamp x", "not valid YAML"),
        ("seed: !!binary ü", "not valid YAML"),
        ("seed: !!set x", "not valid YAML"),
        ("seed: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("seed: " + "9" * 5000, "digits"),
        ("seed: -" + "9" * 5000, "digits"),
        ("training: {lr: " + "9" * 5000 + "}", "digits"),
        ("name: " + "x" * (2 << 20), "characters"),
        ("mel: {n_fft: 67108864}", "mel.n_fft"),
        ("mel: {n_fft: 32768, hop_length: 1, n_mels: 2048}", "mel.hop_length"),
        ("encoder: {name: resnet, widths: [8192, 8192], blocks: [9, 9]}", "weights"),
        ("encoder: {name: resnet, widths: [], blocks: []}", "encoder.widths"),
        ("projector: {hidden: 1000000000}", "projector.hidden"),
        ("training: {batch: 100000000000}", "training.batch"),
        ("objective: {name: nt_xent, queue: 100000000000}", "queue"),
        ("augment: {mel: [{name: time_mask, count: 1000000000}]}", "count"),
        ("augment: {waveform: [{name: pitch_shift, semitones: [-3000, 3000]}]}", "semitones"),
        ("augment: {mel: [{name: gain, db: [-1.0e+300, 1.0e+300]}]}", "db"),
        ("embedding: {excerpts: 100000000}", "excerpts"),
    ],
    ids=range(27),
)
def test_what_is_no_recipe_ends_in_one_short_line(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(text if text[0] in "[{-n" else f"{LEAST}{text}")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 3000


def test_aliases_are_read_where_they_are_few() -> None:
    shared = parse("audio: &a {sample_rate: 16000}\nvalidation: {manifest: &m v, audio_root: *m}").validation
    assert shared is not None
    assert shared.audio_root == "v"


# files


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.parent.name)
def test_shipped_recipes_are_valid_and_survive_a_round_trip(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == path.parent.name
    assert parse_recipe(recipe_yaml(recipe)) == recipe
    assert recipe_from(recipe.model_dump(mode="json")) == recipe  # as a checkpoint keeps it
    assert recipe_from(recipe.model_dump()) == recipe


def test_recipes_are_shipped() -> None:
    assert RECIPES


def test_a_resolved_recipe_spells_out_every_field_and_reads_back() -> None:
    steps = [
        config.PitchShift(), config.TimeStretch(), config.Gain(), config.Noise(), config.Equalizer(), config.Filter(),
        config.Polarity(), config.TimeMask(), config.FrequencyMask(), config.BackgroundMix(),
    ]  # fmt: skip
    for encoder, augment in [
        (config.PooledSampleCNN(), config.Augment(waveform=tuple(steps), gap_seconds=2)),
        (config.ResNet(), config.Augment(mel=tuple(steps))),
    ]:
        recipe = Recipe(
            name="no",  # must come back as text
            data=config.Data(train="2020-01-01", audio_root="Ångström: é"),
            augment=augment,
            encoder=encoder,
            training=config.Training(lr=1e-7),
            validation=config.Validation(manifest="v", split=None),
        )
        text = recipe_yaml(recipe)
        assert parse_recipe(text) == recipe
        assert set(yaml.safe_load(text)) == set(Recipe.model_fields)


def test_a_recipe_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: Ångström".encode("latin-1"))
    for name in ("latin.yaml", "."):
        with pytest.raises(RecipeError, match="cannot be read") as raised:
            read_recipe(tmp_path / name)
        assert str(tmp_path / name) in str(raised.value)
    (tmp_path / "control.yaml").write_bytes(b"name: \x07")
    with pytest.raises(RecipeError, match=r"control\.yaml: not valid YAML"):
        read_recipe(tmp_path / "control.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes on Windows")
def test_a_pipe_is_no_recipe_no_manifest_and_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe, run = str(tmp_path / "pipe"), str(tmp_path / "run")
    for command in (["train", pipe, "-o", run], ["manifest", "check", pipe], ["checkpoint", "info", pipe]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 1
        assert "not a regular file" in capsys.readouterr().err


def test_a_sample_cnn_with_widths_is_the_one_of_that_time() -> None:
    old = parse("encoder: {name: sample_cnn, widths: [4, 4, 8], dropout: 0.1}").encoder
    assert old == config.PooledSampleCNN(widths=(4, 4, 8), dropout=0.1)
    for text, seconds in (
        ("", 3**10 / 16000),
        ("audio: {sample_rate: 22050}", 3**10 / 22050),
        ("audio: {clip_seconds: 5}", 5),
    ):
        recipe = parse(f"encoder: {{name: sample_cnn}}\n{text}")
        assert recipe.encoder == config.SampleCNN()
        assert recipe.audio.clip_seconds == seconds


def test_a_file_with_overrides(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(LEAST, encoding="utf-8")
    assert read_recipe(tmp_path / "a.yaml", overrides=["seed=4"]).seed == 4


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse().seed = 3  # type: ignore[misc]


def test_a_long_name_is_not_quoted_whole():
    with pytest.raises(RecipeError) as caught:
        parse_recipe("data: {train: x}\naugment: {mel: [{name: " + "m" * 5000 + "}]}\n" + "k" * 5000 + ": 1\n")
    assert len(str(caught.value)) < 2000


# keys that were called otherwise


OLD = """
name: a
data: {train: t, share: 0.5}
audio: {rate: 22050}
mel: {hop: 128, bands: 40}
augment:
  waveform: [{name: mix, p: 0.1}]
  mel: [{name: frequency_mask, share: 0.2}, {name: mix}]
  mixing: {name: cutmix_box, p: 0.3}
encoder: {name: resnet, widths: [8], blocks: [1], collapse: 4}
objective: {name: generalized_sup_con}
check: {manifest: v, every: 3}
embedding: {deviation: 0.5}
"""
NEW = """
name: a
data: {train: t, fraction: 0.5}
audio: {sample_rate: 22050}
mel: {hop_length: 128, n_mels: 40}
augment:
  waveform: [{name: background_mix, p: 0.1}]
  mel: [{name: frequency_mask, fraction: 0.2}, {name: background_mix}]
  cutmix: {region: box, p: 0.3}
encoder: {name: resnet, widths: [8], blocks: [1], freq_collapse: 4}
objective: {name: generalized_sup_con}
validation: {manifest: v, every: 3}
embedding: {std_weight: 0.5}
"""


def test_a_recipe_of_before_is_read_with_one_note(tmp_path: Path) -> None:
    notes: list[str] = []
    old = parse_recipe(OLD, on_note=notes.append)
    assert len(notes) == 1
    for key in ("mel.bands is mel.n_mels", "check is validation", "augment.cutmix with region: box", "background_mix"):
        assert key in notes[0]
    assert old == parse_recipe(NEW, on_note=lambda note: pytest.fail(note))
    assert recipe_from(yaml.safe_load(OLD)) == old  # as a checkpoint keeps it, where there is nobody to be told
    (tmp_path / "old.yaml").write_text(OLD, encoding="utf-8")
    with pytest.warns(FutureWarning, match=r"old\.yaml: .*mel\.bands is mel\.n_mels now"):
        assert read_recipe(tmp_path / "old.yaml") == old


@pytest.mark.parametrize("text", [OLD, NEW])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mel.bands=24", "mel.n_mels=24"),
        ("audio={rate: 16000}", "audio={sample_rate: 16000}"),
        ("check=null", "validation=null"),
        ("check.every=7", "validation.every=7"),
        ("augment.mixing=null", "augment.cutmix=null"),
        ("augment.mixing.p=0.9", "augment.cutmix.p=0.9"),
        ("augment.mel.0.share=0.1", "augment.mel.0.fraction=0.1"),
        ("augment.mel.1={name: mix, p: 0}", "augment.mel.1={name: background_mix, p: 0}"),
        ("embedding.deviation=0", "embedding.std_weight=0"),
    ],
)
def test_an_override_by_the_old_name_is_one_by_the_new(text: str, old: str, new: str) -> None:
    notes: list[str] = []
    assert parse_recipe(text, overrides=[old], on_note=notes.append) == parse_recipe(
        text, overrides=[new], on_note=lambda note: None
    )
    assert len(notes) == 1


def test_the_last_of_overrides_by_both_names_wins() -> None:
    def read(*overrides: str) -> Recipe:
        return parse_recipe(NEW, overrides=overrides, on_note=lambda note: None)

    assert read("mel.bands=24", "mel.n_mels=32").mel.n_mels == 32
    assert read("mel.n_mels=32", "mel.bands=24").mel.n_mels == 24
    assert read("augment.mixing={name: mixup}").augment.label_mix == config.Mixup()
    assert read("augment.mixing.name=mixup").augment.label_mix == config.Mixup(p=0.3)
    assert read("augment.mixing.name=cutmix_time").augment.label_mix == config.Cutmix(p=0.3, region="time")
    with pytest.raises(OverrideError, match=r"augment\.mixup\.name"):
        read("augment.mixing.name=waltz")
    with pytest.raises(RecipeError, match=r"mel\.bands and mel\.n_mels are two names of one key"):
        parse("mel: {bands: 4, n_mels: 4}")
    with pytest.raises(RecipeError, match="mixup and cutmix both mix every view"):
        parse("objective: {name: generalized_sup_con}\naugment: {mixup: {}, cutmix: {}}")


@pytest.mark.parametrize("value", ["3", "[1]", "text", "null", "{name: [1]}", "{name: {}}", "{name: none}"])
def test_no_old_section_of_another_kind_gets_through(value: str) -> None:
    for key in ("check", "augment", "mel", "encoder", "augment.mixing"):
        if (key, value) in (("check", "null"), ("augment.mixing", "null")):
            continue
        with pytest.raises(RecipeError):
            parse("", f"{key}={value}")
