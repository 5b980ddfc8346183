"""Folders of vectors that come from elsewhere, or are damaged, into a library: a line or a failure, never a fault."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from mirclr.cluster.importing import import_vectors
from mirclr.cluster.shards import VectorFolder, schema_of, shard_name
from mirclr.errors import LibraryError, VectorsError
from mirclr.library import LibraryStore
from mirclr.models.stamp import EncoderStamp

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'mirclr[parquet]'")
pytest.importorskip("pyarrow.parquet")
STAMP = EncoderStamp(digest="d" * 32, name="made up", dim=4, excerpts=2, recipe={})


def row(name, **values):
    usual = {"id": name, "root": "/music", "path": name, "start_s": 0.0, "size": 1, "mtime_ns": 1, "digest": "f" + name}
    return usual | {"audio_digest": "a" + name, "duration_s": 9.0, "vector": [1.0, 0, 0, 0], **values}


def write(folder, rows, **facts):
    columns = schema_of(STAMP.dim)
    table = pa.Table.from_pylist(rows, schema=columns)
    about = {"format": 1, "encoder": asdict(STAMP), "heads": "h", **facts}
    folder.mkdir(exist_ok=True)
    pa.parquet.write_table(
        table.replace_schema_metadata({b"mirclr": json.dumps(about)}),
        folder / shard_name(len(list(folder.iterdir())) + 1, 0),
    )


def taken(tmp_path):
    """The songs and the failures of a library that took in the folder; and what of the folder was damaged."""
    folder = VectorFolder(str(tmp_path / "vectors"))
    with LibraryStore.open(tmp_path / "l.db", create=True) as library:
        for _ in import_vectors(library, folder):
            pass
        guesses = library.probabilities("genre")
        return [t.path for t in library.tracks()], [f.path for f in library.failures()], folder.damaged, guesses


@pytest.mark.parametrize(
    "wrong",
    [{"tags": {"artist": "x" * 2**21}}, {"start_s": 1e300}, {"start_s": np.nan}, {"duration_s": np.inf}, {"size": None},
     {"mtime_ns": None}, {"remark": "x" * 2**21}, {"vector": [0.0] * 4}, {"vector": [np.nan] * 4}],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
def test_a_song_that_a_library_cannot_hold_is_a_failure(tmp_path, wrong):
    write(tmp_path / "vectors", [row("bad", **wrong), row("good")])
    assert taken(tmp_path)[:3] == (["good"], ["bad"], [])


@pytest.mark.parametrize("wrong", [{"path": None}, {"root": None}, "heads", "encoder"], ids=str)
def test_a_shard_that_says_nothing_is_damaged(tmp_path, wrong):
    write(tmp_path / "vectors", [row("good")])
    if isinstance(wrong, str):
        write(tmp_path / "vectors", [row("bad")], **{wrong: ["x"]})
    else:
        write(tmp_path / "vectors", [row("bad", **wrong)])
    assert taken(tmp_path)[:3] == (["good"], [], [shard_name(2, 0)])


@pytest.mark.parametrize(
    "wrong", [{"path": "../a"}, {"path": "/etc/passwd"}, {"root": "music"}, {"audio_path": "../x"}]
)
def test_a_path_that_leads_elsewhere_is_refused(tmp_path, wrong):
    write(tmp_path / "vectors", [row("a", **wrong)])
    with pytest.raises(LibraryError):
        taken(tmp_path)


def test_guesses_that_are_none_are_left_out(tmp_path):
    guesses = [("genre", "jazz", 0.5), ("genre", None, 0.5), (None, "x", 0.5), ("genre", "nan", np.nan)]
    guesses += [("genre", "much", 7.0), ("genre", "none", None), ("no task", "x", 0.5)]
    labels = [dict(zip(("task", "label", "probability"), one, strict=True)) for one in guesses]
    write(tmp_path / "vectors", [row("a", labels=labels)])
    assert taken(tmp_path)[3] == {1: {"jazz": 0.5}}


def test_a_folder_of_other_things_holds_no_vectors(tmp_path):
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / shard_name(1, 0)).write_bytes(b"PAR1 of somebody else")
    with pytest.raises(VectorsError, match="no vectors"):
        taken(tmp_path)
