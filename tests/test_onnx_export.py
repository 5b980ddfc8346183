"""Encoders as ONNX."""

import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from mirclr.audio import read_excerpts
from mirclr.audio.mel import LogMel
from mirclr.config import parse_recipe
from mirclr.errors import MissingExtra
from mirclr.models.checkpoint import load_checkpoint
from mirclr.models.onnx import ConvolvedLogMel, export_onnx
from tests.commands import invoke
from tests.own_encoders import used_checkpoint

ENCODERS = {
    "resnet": "encoder: {name: resnet, widths: [4, 6], blocks: [1, 1]}",
    "other mel": "mel: {n_fft: 1024, hop_length: 400, n_mels: 40, f_min: 50}\n"
    "encoder: {name: resnet, widths: [4], blocks: [1], dim: 3}",
    "waveform": "encoder: {name: sample_cnn, widths: [4, 4, 8, 8]}",
    "deviations": "encoder: {name: resnet, widths: [4], blocks: [1], dim: 3}\nembedding: {std_weight: 0.5}",
}


@pytest.fixture(params=ENCODERS)
def checkpoint(request, tmp_path):
    return load_checkpoint(used_checkpoint(ENCODERS[request.param], tmp_path))


def test_onnxruntime_gives_torch_s_embeddings_of_real_audio(checkpoint, tmp_path, songs):
    export_onnx(checkpoint, tmp_path / "e.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "e.onnx", providers=["CPUExecutionProvider"])
    waveforms = np.concatenate([read_excerpts(s, count=3, seconds=1.0, rate=16000).waveforms for s in songs])
    with torch.no_grad():
        want = checkpoint.model(torch.from_numpy(waveforms)).numpy()
    for batch in (1, 5, len(waveforms)):
        embedding, track = session.run(None, {"waveform": waveforms[:batch]})
        np.testing.assert_allclose(embedding, want[:batch], atol=1e-4)
        np.testing.assert_allclose(track, checkpoint.model.pooling(torch.from_numpy(want[:batch])), atol=1e-4)
    facts = json.loads(session.get_modelmeta().custom_metadata_map["mirclr"])
    dims = {"dim": checkpoint.model.encoder.dim, "track_dim": checkpoint.model.pooling.dim}
    assert facts == {"encoder": checkpoint.digest, "rate": 16000, "samples": 16000} | dims
    assert b"encoder.py" not in (tmp_path / "e.onnx").read_bytes()  # no paths of the machine that made it


def test_the_convolution_is_the_log_mel(songs):
    recipe = parse_recipe("name: t\ndata: {train: t}")
    mel = LogMel.of(recipe.mel, 16000)
    x = torch.from_numpy(read_excerpts(songs[0], count=2, seconds=1.37, rate=16000).waveforms)
    torch.testing.assert_close(ConvolvedLogMel(mel)(x), mel(x), atol=2e-5, rtol=1e-4)


def test_from_the_command_line(checkpoint, tmp_path, monkeypatch):
    file = str(tmp_path / "encoder.safetensors")
    said = json.loads(invoke(["checkpoint", "info", file, "--json"]).stdout)
    assert said["dim"] == checkpoint.model.encoder.dim
    assert said["encoder"] == checkpoint.digest
    assert said["resolved"]["name"] == "t"
    assert "parameters" in invoke(["checkpoint", "info", file]).output
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"mirclr\[onnx\]"):
        invoke(["checkpoint", "export", file, "--onnx", str(tmp_path / "x.onnx")], catch_exceptions=False)
    assert not (tmp_path / "x.onnx").exists()
