"""What a type checker sees of the package, also of names that are loaded late; `make check` reads it.

Where a line is wrong on purpose, mypy complains if the complaint is missing (`warn_unused_ignores`).
"""

from collections.abc import Callable
from os import PathLike
from typing import assert_type

import numpy as np

import mirclr
from mirclr.classify import Heads
from mirclr.errors import NoMatch
from mirclr.sklearn import MirclrEmbedder

encoder = mirclr.load_encoder("builtin", device="cpu")
assert_type(encoder, mirclr.Encoder)
assert_type(encoder.embed_file("song.mp3"), np.ndarray)
assert_type(encoder.embed(np.zeros(8000), sr=8000), np.ndarray)
assert_type(encoder.embed_segments("song.mp3", hop=1.0), tuple[np.ndarray, np.ndarray])
embed_file: Callable[[str | PathLike[str]], np.ndarray] = encoder.embed_file
encoder.embed_file(3)  # type: ignore[arg-type]
encoder.embed(np.zeros(8000))  # type: ignore[call-arg]

with mirclr.Library.open("lib.db", create=True) as library:
    assert_type(library, mirclr.Library)
    assert_type(library.embed(["~/Music"], progress=lambda done, total: None), mirclr.EmbedReport)
    assert_type(library.recommend("x", n=20, year=(1990, None), artist_cap=1), list[mirclr.Recommendation])
    library.recommend("x", yaer=(1990, 2020))  # type: ignore[call-arg]
    library.recommend("x", diversity="much")  # type: ignore[arg-type]
    assert_type(library.encoder, mirclr.Encoder)
    library.encoder = encoder
    assert_type(library.tracks()[0].title, str | None)

assert_type(mirclr.classify("song.mp3"), mirclr.Prediction)
assert_type(mirclr.classify(np.zeros(8000), 8000).genre, dict[str, float])
mirclr.classify("song.mp3", rate=8000)  # type: ignore[call-arg]
assert_type(MirclrEmbedder(sr=44100).transform(["song.mp3"]), np.ndarray)
result = mirclr.train("recipe.yaml", run="runs/a", data=[(np.zeros(8000), "x")], callback=lambda report: report.loss)
assert_type(result, mirclr.TrainingResult)
assert_type(mirclr.train({"name": "x"}, "runs/a", "manifest.jsonl").history, list[dict[str, float]])
mirclr.train("recipe.yaml")  # type: ignore[call-arg]
heads: type[Heads] = Heads
caught: type[Exception] = mirclr.errors.NoMatch
assert_type(mirclr.errors.NoMatch, type[NoMatch])
misspelt = mirclr.Libary  # type: ignore[attr-defined]
