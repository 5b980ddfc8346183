"""An encoder without torch: its log-mel in numpy, its network from an ONNX file beside its checkpoint, in onnxruntime.

``encoder.onnx`` beside ``encoder.safetensors`` is made by ``mirclr checkpoint quantize`` (quantizing.py). Its metadata,
JSON under the key ``mirclr``, hold ``format``, ``encoder`` (its digest), ``checkpoint`` (digest of the checkpoint's
bytes, so that the file of an older one is never taken), ``recipe``, ``dim``, ``usual`` (of `TrackPooling`), ``weights``
(``int8`` or ``float32``) and ``measured``, what was measured when it was made.
"""

import json
import os
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime

from mirclr import config
from mirclr.audio.spectrum import MelSpectrogram
from mirclr.errors import CheckpointError, RecipeError, in_words, is_fault_of_machine
from mirclr.models.stamp import EncoderStamp
from mirclr.provenance import digest_bytes, open_regular

FORMAT = 1
KEY, INPUT, OUTPUT = "mirclr", "input", "embedding"
_CLIPS = 32  # at once: what a network keeps of more does not fit a CPU's caches

onnxruntime.set_default_logger_severity(4)  # what is wrong is raised; the rest is of GPUs that it looks for


def portable_path(checkpoint: Path) -> Path:
    """Where the ONNX file of a checkpoint is looked for."""
    return checkpoint.with_suffix(".onnx")


class PortableNetwork:
    """The network of an encoder in onnxruntime, on the CPU.

    Parameters
    ----------
    path : Path
        The ONNX file.

    Raises
    ------
    CheckpointError
        It is missing, damaged, or none that ``mirclr checkpoint quantize`` has made.

    Attributes
    ----------
    facts : dict
        Its metadata.
    recipe : config.Recipe
        Of the checkpoint.
    usual : (E,) float32 or None
        Of its `TrackPooling`, where deviations count.
    device : str
        ``"cpu"``.
    """

    device = "cpu"

    def __init__(self, path: Path) -> None:
        try:
            with open_regular(path) as f:
                content = f.read()
        except FileNotFoundError:
            raise CheckpointError(
                f"{path}: no such file; make it with: mirclr checkpoint quantize CHECKPOINT"
            ) from None
        except OSError as error:
            if is_fault_of_machine(error):
                raise
            raise CheckpointError(f"{path}: cannot be read ({in_words(error, path)})") from error
        self._session = _session(path, content)
        self.facts = _facts(path, self._session)
        try:
            self.recipe = config.recipe_from(self.facts["recipe"], where=f"{path}: its recipe")
        except RecipeError as error:
            raise CheckpointError(str(error)) from error
        usual, dim = self.facts["usual"], self.facts["dim"]
        self.usual = None if usual is None else np.array(usual, np.float32)
        fits = self.recipe.embedding.std_weight == 0 if self.usual is None else self.usual.shape == (dim,)
        if not fits or (self.usual is not None and self.recipe.embedding.std_weight == 0):
            raise CheckpointError(f"{path}: its metadata are damaged: {_ADVICE}")
        audio = self.recipe.audio
        takes_mel = self.recipe.encoder.input == "mel"
        self._mel = MelSpectrogram(self.recipe.mel, audio.sample_rate) if takes_mel else None
        silence = np.zeros((1, round(audio.clip_seconds * audio.sample_rate)), np.float32)
        if (shape := self(silence).shape) != (1, dim):  # a network that does not fit its own recipe fails here
            raise CheckpointError(f"{path}: its network gives {shape} of one clip, not (1, {dim}): {_ADVICE}")

    @classmethod
    def of(cls, checkpoint: Path) -> Self | None:
        """That beside a checkpoint; None where there is none, or it was made of another one that lay there before."""
        try:
            path = portable_path(checkpoint)
            there = path.is_file()
        except (OSError, ValueError):  # a name that no file can have
            return None
        if not there:
            return None
        network = cls(path)
        with open_regular(checkpoint) as f:
            return network if network.facts["checkpoint"] == digest_bytes(f.read()) else None

    def stamp(self, name: str, excerpts: int | None = None) -> EncoderStamp:
        """The stamp of its vectors, as `mirclr.models.torch_network.stamp_of`."""
        dim = self.facts["dim"]
        return EncoderStamp(
            digest=self.facts["encoder"],
            name=name,
            dim=dim if self.usual is None else 2 * dim,
            excerpts=excerpts or self.recipe.embedding.excerpts,
            recipe=self.recipe.model_dump(mode="json"),
        )

    def front_end(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 -> what the network takes: (n, F, T) log-mel, or the waveforms themselves."""
        return np.ascontiguousarray(waveforms, np.float32) if self._mel is None else self._mel(waveforms)

    def __call__(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 excerpts -> (n, E) float32."""
        starts = range(0, len(waveforms), _CLIPS)
        parts = [run(self._session, self.front_end(waveforms[i : i + _CLIPS])) for i in starts]
        return np.concatenate(parts) if parts else np.empty((0, self.facts["dim"]), np.float32)


_ADVICE = "make it again with mirclr checkpoint quantize, or delete it"


def run(session: onnxruntime.InferenceSession, clips: np.ndarray) -> np.ndarray:
    """What the network of a session makes of clips.

    Raises
    ------
    MemoryError, CheckpointError
        Memory ran out; or the network does not take such clips.
    """
    try:
        embedded: np.ndarray = session.run([OUTPUT], {INPUT: clips})[0]
    except Exception as error:  # onnxruntime's own are of no common class
        _raise_if_of_memory(error)
        raise CheckpointError(f"the encoder's ONNX file cannot be run ({' '.join(str(error).split())})") from error
    return embedded


def session_of(content: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session on the CPU, by default with a thread for every four cores: the processes that decode use the others."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or max(1, (os.cpu_count() or 1) // 4)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _session(path: Path, content: bytes) -> onnxruntime.InferenceSession:
    try:
        return session_of(content)
    except Exception as error:  # onnxruntime's own are of no common class
        _raise_if_of_memory(error)
        raise CheckpointError(f"{path}: no ONNX file that can be run, or a damaged one: {_ADVICE}") from error


def _raise_if_of_memory(error: Exception) -> None:
    """A fault of the machine is none of a file."""
    if "allocat" in str(error).lower():
        raise MemoryError(str(error)) from error


_KINDS = {"encoder": str, "checkpoint": str, "recipe": dict, "dim": int, "usual": list | None, "weights": str}


def _facts(path: Path, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """The metadata, each of the type that it should be of."""
    try:
        facts = json.loads(session.get_modelmeta().custom_metadata_map.get(KEY, "null"))
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or "format" not in facts:
        raise CheckpointError(f"{path}: an ONNX file, but none of mirclr checkpoint quantize: {_ADVICE}")
    if facts["format"] != FORMAT:
        raise CheckpointError(f"{path}: format {facts['format']}; this mirclr reads format {FORMAT}: {_ADVICE}")
    names = [part.name for part in (*session.get_inputs(), *session.get_outputs())]
    if names != [INPUT, OUTPUT] or not all(isinstance(facts.get(key, ...), kind) for key, kind in _KINDS.items()):
        raise CheckpointError(f"{path}: its metadata are damaged: {_ADVICE}")
    return facts
