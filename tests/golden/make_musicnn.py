"""Makes musicnn.json: what the published musicnn says of a few seconds of music, computed by TensorFlow.

Needs tensorflow, librosa, soundfile and soxr, but not mirclr, in an environment of their own (TensorFlow is no
dependency of mirclr), and the wheel that ``pip download --no-deps musicnn==0.1.0`` obtains::

    python tests/golden/make_musicnn.py musicnn-0.1.0-py3-none-any.whl

The network is the published graph, with its published weights. The log-mel is the published extractor's, except that
it stays in float32: in float16, as published, loud music overflows. The segments are quiet all the same, so that
the figures are those that the published extractor would give up to its rounding.
"""

import json
import sys
import tempfile
import zipfile
from pathlib import Path

import librosa
import numpy as np
import soundfile
import soxr
import tensorflow as tf

HERE = Path(__file__).parent
RATE, FRAMES = 16_000, 187
SEGMENTS = (("gunroar-1", 0.0), ("mucade-1", 4.0), ("torus-1", 2.5), ("torus-2", 4.75))  # file, start in seconds
MODELS = {"musicnn-msd": "MSD_musicnn", "musicnn-mtt": "MTT_musicnn"}
PEAK = 0.1


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """(48000,) -> (187, 96), as the published extractor computes it."""
    mel = librosa.feature.melspectrogram(y=waveform, sr=RATE, hop_length=256, n_fft=512, n_mels=96).T
    return np.log10(10000 * mel.astype(np.float32) + 1)[:FRAMES]


def run(folder: Path, batch: np.ndarray) -> list[np.ndarray]:
    """Restore the checkpoint in `folder`; (n, 187, 96) -> probabilities (n, 50), penultimate layer (n, 200)."""
    v1 = tf.compat.v1
    meta = v1.MetaGraphDef.FromString((folder / ".meta").read_bytes())
    # the graph also holds the gradients, whose shapes a newer TensorFlow refuses; what answers is kept
    names = {node.name for node in meta.graph_def.node}
    ends = ["model/dense_1/BiasAdd", "model/dense_1/MatMul"]
    assert names.issuperset(ends)
    graph_def = v1.graph_util.extract_sub_graph(meta.graph_def, [*ends, meta.saver_def.restore_op_name])
    for node in graph_def.node:
        node.attr.pop("_output_shapes", None)
        node.device = ""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        tf.import_graph_def(graph_def, name="")
        path = meta.saver_def.filename_tensor_name
        session.run(meta.saver_def.restore_op_name, {path: f"{folder}/"})
        inputs = [op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"]
        (training,) = [t for t in inputs if t.dtype == tf.bool]
        (x,) = [t for t in inputs if t.dtype == tf.float32 and t.shape.rank == 3]
        logits = graph.get_operation_by_name(ends[0]).outputs[0]
        penultimate = graph.get_operation_by_name(ends[1]).inputs[0]  # dropout does nothing outside training
        return session.run([tf.sigmoid(logits), penultimate], {x: batch, training: False})


def main(wheel: Path) -> None:
    inputs, mels = [], []
    for name, start in SEGMENTS:
        samples, rate = soundfile.read(HERE.parent / "audio" / f"{name}.ogg", dtype="float32", always_2d=True)
        # resampling overshoots; a waveform is in [-1, 1]
        whole = np.clip(soxr.resample(samples.mean(axis=1), rate, RATE, quality="HQ"), -1, 1)
        segment = whole[round(start * RATE) :][: 3 * RATE]
        gain = round(float(PEAK / np.abs(segment).max()), 6)
        inputs.append({"file": f"{name}.ogg", "start_s": start, "gain": gain})
        mels.append(log_mel(segment * np.float32(gain)))
    outputs = {}
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as opened:
        for name, member in MODELS.items():
            for file in (".meta", ".index", ".data-00000-of-00001"):
                opened.extract(f"musicnn/{member}/{file}", folder)
            probabilities, penultimate = run(Path(folder) / "musicnn" / member, np.stack(mels))
            outputs[name] = {
                "probabilities": np.round(probabilities.astype(float), 7).tolist(),
                "penultimate": np.round(penultimate.astype(float), 6).tolist(),
            }
    golden = {"tensorflow": tf.__version__, "librosa": librosa.__version__, "inputs": inputs, "outputs": outputs}
    (HERE / "musicnn.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
