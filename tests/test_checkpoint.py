import json
import pickle
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import mirclr
from mirclr.config import parse_recipe
from mirclr.errors import CheckpointError
from mirclr.models.checkpoint import (
    encoder_digest,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from mirclr.models.encoder import Model

TINY = """
name: tiny
data: {train: tracks.jsonl}
audio: {clip_seconds: 1.0}
mel: {n_mels: 32}
encoder: {name: resnet, widths: [4, 8], blocks: [1, 1], dim: 8}
projector: {hidden: 8, dim: 4}
"""
SAMPLE_CNN = "encoder={name: sample_cnn, widths: [4, 4, 8]}"


def tiny(*overrides, seed=0):
    torch.manual_seed(seed)
    return Model(parse_recipe(TINY, overrides=overrides))


@pytest.fixture
def saved(tmp_path):
    model = tiny()
    save_checkpoint(tmp_path / "a.safetensors", model, {"seed": 0, "who": "é"})
    return model.eval(), tmp_path / "a.safetensors"


def header_of(path):
    """The header as any program reads it: eight bytes of length, then JSON."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


@pytest.mark.parametrize("overrides", [(), (SAMPLE_CNN,)])
def test_round_trip(tmp_path, overrides):
    model = tiny(*overrides)
    model(torch.randn(4, 16000))  # so that the running statistics are not those of a new model
    save_checkpoint(tmp_path / "a", model, {"seed": 0})
    read = load_checkpoint(tmp_path / "a")
    assert read.recipe == model.recipe
    assert read.provenance == {"seed": 0}
    assert (read.step, read.optimizer) == (None, {})
    assert read.digest == encoder_digest(model)
    assert not read.model.training
    waveforms = torch.randn(3, 16000)
    with torch.no_grad():
        assert torch.equal(read.model(waveforms), model.eval()(waveforms))
        assert torch.equal(read.model.projector(read.model(waveforms)), model.projector(model(waveforms)))


def test_a_state_holds_the_optimizer(tmp_path):
    model = tiny()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model.projector(model(torch.randn(4, 16000))).square().sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "a", model, {}, optimizer=optimizer_tensors(model, optimizer), step=7)
    read = load_checkpoint(tmp_path / "a")
    assert read.step == 7
    again = torch.optim.AdamW(read.model.parameters(), lr=0.1)
    restore_optimizer(read.model, again, read.optimizer)
    for old, new in zip(model.parameters(), read.model.parameters(), strict=True):
        assert old in optimizer.state
        assert optimizer.state[old].keys() == again.state[new].keys()
        for name, value in optimizer.state[old].items():
            assert torch.equal(torch.as_tensor(value), again.state[new][name])


def test_the_header_is_plain_json(saved):
    model, path = saved
    header = json.loads(header_of(path)["__metadata__"]["mirclr"])
    assert header["kind"] == "model"
    assert header["recipe"] == model.recipe.model_dump(mode="json")
    assert header["provenance"] == {"seed": 0, "who": "é"}


def test_an_older_file_is_replaced_and_nothing_else_left(saved):
    _, path = saved
    save_checkpoint(path, tiny(seed=1), {"seed": 1})
    assert load_checkpoint(path).provenance == {"seed": 1}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


class Bomb:
    def __reduce__(self):
        return (Path.write_text, (Path("pickle-was-run"), "x"))


def other_safetensors(path):
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})


def with_header(**changes):
    def write(path):
        model = tiny()
        recipe = model.recipe.model_dump(mode="json")
        header = {"format": 1, "kind": "model", "recipe": recipe, "provenance": {}, "step": None} | changes
        header = {k: v for k, v in header.items() if v is not Ellipsis}
        save_file(
            {n: t.contiguous() for n, t in model.state_dict().items()}, path, metadata={"mirclr": json.dumps(header)}
        )

    return write


def no_json(path):
    save_file({"weight": torch.zeros(3)}, path, metadata={"mirclr": "{"})


BAD = {
    "pickle": lambda path: torch.save({"model": Bomb()}, path),
    "bare pickle": lambda path: path.write_bytes(pickle.dumps(Bomb())),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("not a checkpoint"),
    "huge header": lambda path: path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"),
    "folder": lambda path: path.mkdir(),
    "other safetensors": other_safetensors,
    "no json": no_json,
    "newer": with_header(format=2),
    "other kind": with_header(kind="heads"),
    "no recipe": with_header(recipe=...),
    "other recipe": with_header(recipe={"name": "x", "data": {"train": "y"}}),
    "wrong recipe": with_header(recipe={"name": "x", "data": {"train": "y"}, "encoder": {"name": "rnn"}}),
    "missing": lambda path: None,
    "deep json": lambda path: save_file({"w": torch.zeros(3)}, path, metadata={"mirclr": "[" * 200_000}),
    "recipe that is a list": with_header(recipe=[]),
    "recipe of lists": with_header(recipe={"audio": [], "encoder": {"name": "sample_cnn"}}),
    "provenance that is a text": with_header(provenance="x"),
    "step that is a text": with_header(step="7"),
    "step below zero": with_header(step=-1),
    "more channels than it holds": with_header(
        recipe=parse_recipe(TINY, overrides=["encoder.widths=[4, 4000]"]).model_dump(mode="json")
    ),
    "more channels than there is memory": with_header(
        recipe=parse_recipe(TINY).model_dump(mode="json")
        | {"encoder": {"name": "resnet", "widths": [4, 9_000_000], "blocks": [1, 1]}}
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_another_file_is_refused_by_name(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.safetensors"
    BAD[kind](path)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        load_checkpoint(path)
    assert not Path("pickle-was-run").exists()


def test_a_truncated_file_is_refused(saved):
    _, path = saved
    content = path.read_bytes()
    for length in (4, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            load_checkpoint(path)


def test_nothing_in_the_package_loads_pickles():
    forbidden = re.compile(r"torch\.load|\bpickle\b|joblib|allow_pickle\s*=\s*True|np\.load\([^)]*pickle|yaml\.unsafe")
    files = list(Path(mirclr.__file__).parent.rglob("*.py"))
    assert len(files) > 30
    found = [
        f"{file.name}: {line.strip()}"
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if forbidden.search(line)
    ]
    assert found == []


def test_the_digest_is_of_the_encoder_alone(saved):
    model, path = saved
    digest = encoder_digest(model)
    assert load_checkpoint(path).digest == digest
    with torch.no_grad():
        for weight in model.projector.parameters():
            weight += 1
    assert encoder_digest(model) == digest
    for name, tensor in model.encoder.state_dict().items():
        before = tensor.clone()
        with torch.no_grad():
            tensor += 1
        assert encoder_digest(model) != digest, name
        tensor.copy_(before)
    assert encoder_digest(model) == digest


def test_the_digest_is_of_the_settings_that_an_embedding_depends_on():
    def with_weights(*overrides):
        model = tiny(*overrides)
        for tensor in model.encoder.state_dict().values():
            tensor.copy_(torch.full_like(tensor, 2))
        return encoder_digest(model)

    digest = with_weights()
    for same in ("training.lr=0.5", "seed=9", "name=other", "projector.dim=6", "embedding.excerpts=2"):
        assert with_weights(same) == digest, same
    for other in (
        "audio.clip_seconds=2.0",
        "mel.hop_length=128",
        "mel.gain=10.0",
        "mel.f_min=20",
        "embedding.std_weight=1.0",
        "embedding.levelled=true",
        "embedding.balanced=0.5",
    ):
        assert with_weights(other) != digest, other
    model = tiny("embedding.std_weight=1.0")
    digest = encoder_digest(model)
    model.pooling.usual += 1
    assert encoder_digest(model) != digest


def test_the_digest_hangs_on_no_memory_layout():
    model = tiny()
    digest = encoder_digest(model)
    assert encoder_digest(model.to(memory_format=torch.contiguous_format)) == digest
    assert all(np.isfinite(t.numpy()).all() for t in model.state_dict().values())


@pytest.mark.parametrize(
    ("version", "advice"), [(2, "upgrade mirclr"), (0, "train it again"), (None, "train it again")]
)
def test_another_format_is_refused_with_what_helps(tmp_path, version, advice):
    header = {"format": version, "kind": "model"}
    save_file({"a": torch.zeros(1)}, tmp_path / "a", metadata={"mirclr": json.dumps(header)})
    with pytest.raises(CheckpointError, match=advice):
        load_checkpoint(tmp_path / "a")
