"""`serve`: how fast `mirclr serve` answers many clients while a folder is embedded, and what it costs when idle."""

import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mirclr.index import open_index
from mirclr.library import Description, Entry, LibraryStore
from mirclr.models.embedder import Embedder
from mirclr.tags import Tags
from tests.benchmarks.measuring import load
from tests.benchmarks.recommending import synthetic
from tests.made_up_music import RATE, sound

TRACKS, CLIENTS, SECONDS, STREAMS, NEW = 100_000, 50, 60, 200, 800
STARTS = 5
AIMS = {
    "recommend": "p99 under 100 ms",
    "search": "p99 under 50 ms",
    "errors": 0,
    "first_answer_s": "under 1.5",
    "memory": "flat",
}
_SYLLABLES = ("ka", "ro", "mi", "ta", "len", "dor", "vi", "sha", "nu", "pel", "gra", "zo", "bri", "mon", "ler", "sa")


def serve(checkpoint: Path) -> dict[str, Any]:
    """Milliseconds of answers to 50 clients in a minute while a folder is embedded; seconds to the first; memory."""
    with tempfile.TemporaryDirectory() as folder:
        path, music = Path(folder) / "library.db", Path(folder).resolve() / "music"
        words = _fill(path, music, Embedder.load(checkpoint))
        return measured(path, words)


def measured(path: Path, words: list[str]) -> dict[str, Any]:
    """What is measured of a library that `_fill` made."""
    first = [_first_answer(path) for _ in range(STARTS)]
    print(f"first answers after {first} s", flush=True)
    before = load()
    with _service(path) as (address, _):
        idle = _idle(address)
        print(f"idle: {idle}", flush=True)
        found = _under_load(address, path.parent, words)
    return {
        "of": f"{TRACKS:,} tracks of 768 components; {CLIENTS} clients, each of whom does something every 3 s, about",
        "tracks": TRACKS,
        "clients": CLIENTS,
        "seconds": SECONDS,
        "first_answer_s": round(statistics.median(first), 2),
        "first_answers_s": first,
        **found,
        "idle": idle,
        "aims": AIMS,
        "cores": os.cpu_count(),
        "load_before_clients": before,
    }


def _fill(path: Path, music: Path, embedder: Embedder) -> list[str]:
    """Make a library of songs that are not there, and files beside them that are not in it; words of its names."""
    rng, at = np.random.default_rng(2), 0
    names = ["".join(rng.choice(_SYLLABLES, rng.integers(2, 4))).title() for _ in range(4000)]
    with LibraryStore.open(path, create=True) as library:
        library.bind(embedder.stamp)
        for rows in synthetic(TRACKS):
            entries = []
            for row in rows:
                artist = int(rng.integers(0, TRACKS // 12))
                tags = Tags(
                    title=" ".join(rng.choice(names, rng.integers(1, 4))),
                    artist=f"{names[artist % 4000]} {names[artist // 4000]}",
                    album=f"{names[artist % 4000]} {at % 3 + 1}",
                    genre=("Rock", "Jazz", "Folk", "Pop", "Metal", "Techno", "Classical", "Hip-Hop")[artist % 8],
                    year=1960 + int(rng.integers(0, 60)),
                )
                place, length = f"{artist}/{at}.ogg", float(rng.uniform(100, 500))
                entries.append(Entry(str(music), place, 1, 1, f"f{at}", f"a{at}", length, tags, row))
                at += 1
            library.write(entries=entries)
        library.store_descriptions(
            {i: Description(float(60 + i % 120), ("Am", "C", "F#m", "Eb")[i % 4], 0.5, -9.0) for i in range(1, at + 1)}
        )
        open_index(library)
    (music / "new").mkdir(parents=True)
    for number in range(NEW):
        kind = ("rock", "folk", "house", "strings", "choir")[number % 5]
        soundfile.write(music / "new" / f"{number}.flac", np.tile(sound(kind, number), 4), RATE)
    return names


@contextmanager
def _service(path: Path) -> "Iterator[tuple[tuple[str, int], subprocess.Popen[str]]]":
    """`mirclr serve` of a library: where it listens, and its process."""
    command = [sys.executable, "-m", "mirclr", "serve", "--library", str(path), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"http://([\d.]+):(\d+)", line):
                break
        else:
            raise RuntimeError("mirclr serve has ended")
        yield (found[1], int(found[2])), process
    finally:
        process.terminate()
        process.wait()


def _ask(address: tuple[str, int], method: str, path: str, body: object = None) -> Any:
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        answer = connection.getresponse()
        found = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{path}: {answer.status} {found[:300]!r}")
        return json.loads(found) if answer.headers["Content-Type"] == "application/json" else found.decode()
    finally:
        connection.close()


def _first_answer(path: Path) -> float:
    """Seconds from the command to a list of songs."""
    began = time.perf_counter()
    with _service(path) as (address, _):
        _ask(address, "POST", "/api/v1/recommend", {"seeds": [4242], "n": 20})
        return round(time.perf_counter() - began, 2)


def _figures(address: tuple[str, int]) -> tuple[float, float]:
    """Megabytes of memory and seconds of all cores that the process of the service has taken."""
    text = _ask(address, "GET", "/metrics")
    return tuple(  # type: ignore[return-value]
        float(re.search(rf"^{name} (\S+)", text, re.MULTILINE)[1]) / by  # type: ignore[index]
        for name, by in (("process_resident_memory_bytes", 1e6), ("process_cpu_seconds_total", 1))
    )


def _idle(address: tuple[str, int]) -> dict[str, float]:
    """What it takes where nobody asks, and where clients listen for events beside."""
    _ask(address, "POST", "/api/v1/recommend", {"seeds": [1]})
    time.sleep(5)
    with ExitStack() as stack:
        nobody = _cores_taken(address)
        before = _figures(address)[0]
        for _ in range(STREAMS):
            stream = stack.enter_context(socket.create_connection(address, timeout=20))
            stream.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode())
            stream.recv(1)
        listened = _cores_taken(address)
        return {
            "cores_taken": nobody,
            f"cores_taken_with_{STREAMS}_streams": listened,
            f"megabytes_of_{STREAMS}_streams": round(_figures(address)[0] - before, 1),
        }


def _cores_taken(address: tuple[str, int], seconds: float = 20.0) -> float:
    began, before = time.perf_counter(), _figures(address)[1]
    time.sleep(seconds)
    return round((_figures(address)[1] - before) / (time.perf_counter() - began), 4)


def _under_load(address: tuple[str, int], folder: Path, words: list[str]) -> dict[str, Any]:
    """Let clients ask while a folder is embedded."""
    for path in ("/api/v1/tracks?limit=1", "/api/v1/search?q=ka", "/api/v1/tracks?sort=title&year=1990s&bpm=100..120"):
        _ask(address, "GET", path)
    job = _ask(address, "POST", "/api/v1/jobs", {"kind": "embed"})
    while _ask(address, "GET", f"/api/v1/jobs/{job['id']}")["label"] != "Listening to songs":
        time.sleep(0.5)  # its process starts, and looks for files
    answered = folder / "answered.json"
    environment = {"MIRCLR_TRACKS": str(TRACKS), "MIRCLR_WORDS": " ".join(words), "MIRCLR_ANSWERED": str(answered)}
    command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("clients.py")), "--headless"]
    command += ["-u", str(CLIENTS), "-r", "5", "-t", f"{SECONDS}s", "--host", "http://{}:{}".format(*address)]
    clients = subprocess.Popen(
        [*command, "--only-summary"], env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    memory = []
    while clients.poll() is None:
        memory.append(round(_figures(address)[0], 1))
        time.sleep(5)
    state = _ask(address, "GET", f"/api/v1/jobs/{job['id']}")
    _ask(address, "DELETE", f"/api/v1/jobs/{job['id']}")
    rows = json.loads(answered.read_text(encoding="utf-8"))
    return {
        "ms": {name: _times([ms for one, ms, _ in rows if one == name]) for name in sorted({row[0] for row in rows})},
        "answers_a_second": round(len(rows) / SECONDS, 1),
        "errors": sum(bool(row[2]) for row in rows),
        "error": next((row[2] for row in rows if row[2]), None),
        "embedding": {"state": state["state"], "done": state["done"], "of": state["total"]},
        "memory_mb": memory,
    }


def _times(ms: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(ms, [50, 99])
    return {"answers": len(ms), "p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(max(ms), 1)}
