"""Other extractors of music features over files, each in an environment of its own, in so many processes.

``python rivals.py NAME PROCESSES FILE…`` runs in that environment and knows nothing of mirclr. It prints one line of
JSON: the wall time of all files together, the processes being up and warm before, and their CPU time a file.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

REQUIRES = {
    "bliss": ("bliss-audio==0.2.0",),
    "musly": ("pymusly==2.0.0", "soundfile", "soxr", "numpy"),
    # the last TensorFlow that still has the layers which musicnn is made of; musicnn itself asks for versions of
    # numpy and TensorFlow that no Python of today can install, and is installed without what it asks for
    "musicnn": ("tensorflow-cpu==2.15.*", "librosa==0.9.2", "numpy<2", "setuptools<81"),
}
ALONE = {"musicnn": ("musicnn==0.1.0",)}
"""Installed without their dependencies."""


def bliss() -> Callable[[str], object]:
    import bliss_audio

    return lambda file: bliss_audio.Song(file).analysis


def musly() -> Callable[[str], object]:
    """The default features of the whole song; its wheel has no decoder, so soundfile and soxr decode."""
    import pymusly
    import soundfile
    import soxr

    jukebox = pymusly.MuslyJukebox()

    def extract(file: str) -> object:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        return jukebox.track_from_audiodata(soxr.resample(samples.T.mean(axis=0), rate, 22050))

    return extract


def musicnn() -> Callable[[str], object]:
    """Its own `extractor`, features and all, whole songs in patches of three seconds."""
    import contextlib
    import io
    import warnings

    warnings.simplefilter("ignore")
    from musicnn.extractor import extractor

    def extract(file: str) -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            return extractor(file, model="MSD_musicnn", extract_features=True)

    return extract


_extract: dict[str, Callable[[str], object]] = {}


def work(job: tuple[str, str]) -> float:
    name, file = job
    if name not in _extract:
        _extract[name] = {"bliss": bliss, "musly": musly, "musicnn": musicnn}[name]()
    start = time.process_time()
    _extract[name](file)
    return time.process_time() - start


def main(name: str, processes: int, files: list[str]) -> None:
    # an executor and no Pool, which waits for ever for a process that has crashed
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(work, [(name, files[0])] * processes))
        start = time.perf_counter()
        cpu = list(pool.map(work, [(name, file) for file in files]))
        wall = time.perf_counter() - start
    print(json.dumps({"wall_s": wall, "cpu_s": sum(cpu) / len(cpu)}))


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # a thread a process: they are as many as the cores
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
