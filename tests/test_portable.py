"""Encoders without torch: log-mel in numpy, networks in onnxruntime, and what is rounded on the way there."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

import mirclr
from mirclr.audio import read_excerpts
from mirclr.audio.mel import LogMel
from mirclr.audio.spectrum import MelSpectrogram, mel_filters
from mirclr.config import Mel, parse_recipe
from mirclr.errors import CheckpointError, MissingExtra
from mirclr.models import embedder as embedding
from mirclr.models import quantizing
from mirclr.models.checkpoint import load_checkpoint, save_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model
from mirclr.models.portable import KEY, PortableNetwork, portable_path
from mirclr.models.pretrained import builtin_checkpoint
from mirclr.models.quantizing import in_halves, shared_neighbours, write_portable
from tests.commands import invoke
from tests.own_encoders import used_checkpoint

ENCODERS = {  # in float32: "auto" is bfloat16 in torch where a CPU multiplies in it
    "log-mel": "training: {precision: float32}\n"
    "mel: {n_fft: 1024, hop_length: 400, n_mels: 40, f_min: 50}\n"
    "encoder: {name: resnet, widths: [4, 6], blocks: [1, 1], freq_collapse: 5, dim: 3}\n"
    "embedding: {std_weight: 0.5, levelled: true, excerpts: 7}",
    "waveform": "training: {precision: float32}\nencoder: {name: sample_cnn_pooled, widths: [4, 4, 8, 8]}",
}
_exported: dict[str, onnx.ModelProto] = {}


@pytest.fixture(autouse=True)
def exported_once(monkeypatch):
    def export(read):
        if read.digest not in _exported:
            _exported[read.digest] = export_again(read)
        return onnx.ModelProto.FromString(_exported[read.digest].SerializeToString())

    export_again = quantizing.exported_network  # which takes some seconds
    monkeypatch.setattr(quantizing, "exported_network", export)


@pytest.fixture
def small(tmp_path):
    return used_checkpoint(ENCODERS["log-mel"], tmp_path)


def exact(checkpoint: Path) -> Embedder:
    """By torch, whatever lies beside the checkpoint."""
    return Embedder.of_model(load_checkpoint(checkpoint).model, name="exact", device="cpu")


# log-mel


@settings(max_examples=20, deadline=None)
@given(
    n_fft=st.integers(2, 600), hop=st.integers(1, 400), bands=st.integers(2, 90), rate=st.integers(4000, 48000),
    n=st.integers(1, 3000), seed=st.integers(0, 9),
)  # fmt: skip
def test_log_mel_without_torch_is_that_of_torch(n_fft, hop, bands, rate, n, seed):
    plan = Mel(n_fft=n_fft, hop_length=hop, n_mels=bands, f_min=rate / 100, f_max=rate / 3)
    x = (np.random.default_rng(seed).standard_normal((2, n)) * 0.2).astype(np.float32)
    found = MelSpectrogram(plan, rate)(x)
    np.testing.assert_allclose(found, LogMel.of(plan, rate)(torch.from_numpy(x)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("rate", "n_fft", "n_mels"), [(16000, 512, 96), (22050, 1024, 128), (8001, 400, 20)])
def test_the_filters_are_torchaudio_s(rate, n_fft, n_mels):
    ours = mel_filters(sample_rate=rate, n_fft=n_fft, n_mels=n_mels, f_min=20.0, f_max=3900.0)
    theirs = torchaudio.functional.melscale_fbanks(
        n_fft // 2 + 1, 20.0, 3900.0, n_mels, rate, norm="slaney", mel_scale="slaney"
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(theirs.max()))


# the network


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_checkpoint_with_its_onnx_file_gives_torch_s_vectors(kind, tmp_path, songs):
    checkpoint = used_checkpoint(ENCODERS[kind], tmp_path)
    want = exact(checkpoint)
    assert write_portable(checkpoint).weights == "float32"
    found = Embedder.load(checkpoint)
    assert isinstance(found.network, PortableNetwork)
    assert found.stamp.makes_vectors_of(want.stamp)
    assert found.stamp.recipe == want.stamp.recipe
    assert (found.stamp.dim, found.dim, found.rate, found.seconds) == (want.dim, want.dim, want.rate, want.seconds)
    for count in (1, 5):
        excerpts = read_excerpts(songs[0], count=count, seconds=1.0, rate=16000).waveforms
        np.testing.assert_allclose(found.embed_excerpts(excerpts), want.embed_excerpts(excerpts), atol=2e-4)
        np.testing.assert_allclose(found.embed_track(excerpts), want.embed_track(excerpts), atol=2e-4)
    assert found.embed_excerpts(excerpts[:0]).shape == (0, want.embed_excerpts(excerpts).shape[1])


def test_pooling_is_that_of_training():
    recipe = parse_recipe(
        "name: t\ndata: {train: t}\nencoder: {name: resnet, widths: [4], blocks: [1]}\nembedding: {std_weight: 0.5}"
    )
    model = Model(recipe)
    model.pooling.usual.uniform_(0.2, 2.0)
    embedder = Embedder.of_model(model, name="t", device="cpu")
    for n in (1, 2, 15):
        rows = torch.randn(n, model.encoder.dim, generator=torch.Generator().manual_seed(n))
        np.testing.assert_allclose(embedder.pool(rows.numpy()), model.pooling(rows), atol=1e-6)
    assert not embedder.pool(np.zeros((1, model.encoder.dim), np.float32))[: model.encoder.dim].any()


def test_the_built_in_encoder_in_8_bits_is_the_built_in_encoder(songs):
    rounded, want = Embedder.load(builtin_checkpoint()), exact(builtin_checkpoint())
    assert isinstance(rounded.network, PortableNetwork), "run: mirclr checkpoint quantize builtin"
    assert rounded.network.facts["weights"] == "int8"
    assert rounded.network.facts["measured"]["agreement"] >= quantizing.LEAST_AGREEMENT
    assert rounded.stamp.makes_vectors_of(want.stamp)
    for song in songs:
        excerpts = read_excerpts(song, count=5, seconds=want.seconds, rate=want.rate).waveforms
        assert rounded.embed_track(excerpts) @ want.embed_track(excerpts) > 0.99


def test_neighbours_that_stay():
    rows = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert shared_neighbours(rows, rows) == 1
    assert shared_neighbours(rows, rows[::-1]) < 0.4
    assert shared_neighbours(rows, rows, count=3) == 1


def test_what_stays_in_floats_is_kept_in_halves():
    weight = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    graph = onnx.parser.parse_graph("g (float[N, 3] x) => (float[N, 4] y) { y = MatMul(x, w) }")
    graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    model = in_halves(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]))
    onnx.checker.check_model(model, full_check=True)
    assert [t.data_type for t in model.graph.initializer] == [onnx.TensorProto.FLOAT16]
    (y,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": np.eye(3, dtype=np.float32)})
    np.testing.assert_array_equal(y, weight.astype(np.float16))


# the command


def test_the_command_says_what_it_made_and_8_bits_need_music(small, songs, monkeypatch):
    done = invoke(["checkpoint", "quantize", str(small)])
    assert "32 bits" in done.output
    monkeypatch.setattr(quantizing, "LEAST_TRACKS", len(songs))
    monkeypatch.setattr(quantizing, "NEIGHBOURS", 2)
    made = json.loads(invoke(["checkpoint", "quantize", str(small), "--music", str(songs[0].parent), "--json"]).stdout)
    assert made["tracks"] == len(songs)
    assert made["weights"] == ("int8" if made["agreement"] >= quantizing.LEAST_AGREEMENT else "float32")
    network = PortableNetwork(portable_path(small))
    assert network.facts["weights"] == made["weights"]
    assert network.facts["measured"]["agreement"] == made["agreement"]
    alone = Embedder.load(portable_path(small))  # the file by itself
    assert alone.stamp.digest == load_checkpoint(small).digest


def test_8_bits_are_not_taken_where_they_change_too_much(small, songs, monkeypatch):
    monkeypatch.setattr(quantizing, "LEAST_TRACKS", len(songs))
    monkeypatch.setattr(quantizing, "shared_neighbours", lambda right, found: 0.949)
    made = write_portable(small, songs)
    assert (made.weights, made.agreement) == ("float32", 0.949)
    x = read_excerpts(songs[0], count=3, seconds=1.0, rate=16000).waveforms
    np.testing.assert_allclose(Embedder.load(small).embed_track(x), exact(small).embed_track(x), atol=2e-4)


# files that are not what they should be


def test_the_onnx_file_of_another_checkpoint_is_not_taken(small):
    write_portable(small)
    assert isinstance(Embedder.load(small).network, PortableNetwork)
    read = load_checkpoint(small)
    save_checkpoint(small, read.model, {"seed": 1})
    assert not isinstance(Embedder.load(small).network, PortableNetwork)


def with_facts(path: Path, **changed: object) -> None:
    model = onnx.load(path)
    facts = json.loads(model.metadata_props[0].value) | changed
    model.metadata_props[0].value = json.dumps(facts)
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"format": 2}, "reads format 1"),
        ({"usual": [1.0]}, "damaged"),
        ({"usual": None}, "damaged"),
        ({"dim": "3"}, "damaged"),
        ({"dim": 5, "usual": [0.0] * 5}, "gives"),
        ({"recipe": {"name": "t"}}, "its recipe"),
        ({"encoder": 1}, "damaged"),
    ],
)
def test_a_file_whose_facts_are_wrong_is_refused(small, changed, match):
    write_portable(small)
    assert b"encoder.py" not in portable_path(small).read_bytes()  # no paths of the machine that made it
    with_facts(portable_path(small), **changed)
    with pytest.raises(CheckpointError, match=match):
        Embedder.load(small)


def test_damaged_files_and_others_are_refused(small, tmp_path):
    path = portable_path(small)
    with pytest.raises(CheckpointError, match="no such file"):
        Embedder.load(path)
    for content in (b"", b"no ONNX at all", bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"encoder\.onnx"):
            Embedder.load(small)
    write_portable(small)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        Embedder.load(small)
    model = onnx.load_from_string(whole)
    model.metadata_props[0].key = f"not {KEY}"
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match="none of mirclr checkpoint quantize"):
        Embedder.load(path)


# without torch


def test_without_torch_an_onnx_file_is_asked_for(small, monkeypatch):
    monkeypatch.setattr(embedding, "has_torch", lambda: False)
    with pytest.raises(MissingExtra, match=r"mirclr\[train\].*quantize"):
        Embedder.load(small)
    with pytest.raises(CheckpointError, match="no such file"):
        Embedder.load(small.with_name("other.safetensors"))
    write_portable(small)
    assert Embedder.load(small).dim == 6
    with pytest.raises(MissingExtra, match=r"on cuda needs torch"):
        Embedder.load(small, device="cuda")


def test_a_gpu_is_looked_for_without_torch(monkeypatch):
    monkeypatch.setattr(embedding, "_sees_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert embedding._wants_torch("auto")
    monkeypatch.setattr(embedding, "has_torch", lambda: False)
    assert not embedding._wants_torch("auto")
    assert embedding._wants_torch("mps")
    assert not embedding._wants_torch("cpu")


BLOCKED = """
import json, sys
sys.modules["torch"] = sys.modules["torchaudio"] = None  # as where they are not installed
import mirclr
from mirclr.__main__ import start
songs, library = sys.argv[1], sys.argv[2]
def run(*args):
    sys.argv[1:] = [*args, "--library", library] if args[0] != "classify" else args
    try:
        start()
    except SystemExit as done:
        assert not done.code, args
run("embed", songs, "--quiet", "--workers", "1")
run("recommend", songs + "/torus-1.ogg", "--json")
v = mirclr.load_encoder().embed_file(songs + "/torus-1.ogg")
assert mirclr.classify(songs + "/torus-1.ogg").genre
with mirclr.Library.open(library) as opened:
    track = next(t for t in opened.tracks() if t.path == "torus-1.ogg")
    assert (opened.vector(track.id) == v).all()
try:
    mirclr.load_encoder(device="cuda")
except mirclr.errors.MissingExtra:
    print("done")
"""


def test_embed_recommend_and_classify_need_no_torch(songs, tmp_path):
    run = [sys.executable, "-c", BLOCKED, str(songs[0].parent), str(tmp_path / "l.db")]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "done"


LOADED = """
import sys, mirclr
mirclr.load_encoder(device="cpu").embed_file(sys.argv[1])
print(sorted({"torch", "torchaudio", "librosa", "sklearn"} & set(sys.modules)))
"""


def test_torch_is_not_loaded_where_it_is_not_needed(songs):
    done = subprocess.run([sys.executable, "-c", LOADED, str(songs[0])], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_command_that_needs_torch_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "mirclr.models.checkpoint")
    with pytest.raises(ImportError) as raised:
        invoke(["checkpoint", "info", "builtin"], catch_exceptions=False)
    missing = MissingExtra.of_import(raised.value)
    assert missing is not None
    assert "mirclr[train]" in str(missing)
    assert MissingExtra.of_import(ImportError("x", name="torchvision")) is None
    assert mirclr.__version__
