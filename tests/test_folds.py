"""No artist, however written, and no recording is on two sides of a split."""

import json
import os

import numpy as np
import pytest

from mirclr.classify import labelled_by_file, labelled_by_tags, read_labels, usable_tasks
from mirclr.classify.fitting import grouped_folds
from mirclr.evaluation import probes as evaluate
from mirclr.evaluation.holdout import hold_out
from mirclr.evaluation.label_curve import _split
from mirclr.evaluation.probes import Features, retrieval_rows
from mirclr.evaluation.report.measure import _by_artist
from mirclr.library import Entry, LibraryStore, Listen
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend.taste import match_listens
from mirclr.tags import Tags
from tests.commands import invoke

ROOT = os.path.abspath(os.sep + "music")
QUEEN = ["Queen", "Queen feat. David Bowie", "QUEEN & George Michael", "Queen; Someone", "Queen, Annie Lennox"]
OTHERS = [f"Artist {i}" for i in range(9)]


@pytest.fixture
def library(tmp_path):
    """Two tracks of each name, in two genres; the last one's first is a copy of the first of Artist 0."""
    rng = np.random.default_rng(0)
    with LibraryStore.open(tmp_path / "l.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "a.safetensors", 6, 8, {}))
        entries = []
        for i, artist in enumerate([*QUEEN, *OTHERS]):
            for j in range(2):
                tags = Tags(artist=artist, title=f"T{i} {j}", album=f"A{i}", genre=("dub", "folk")[j])
                path = f"{i}/{j}.ogg"
                entries.append(Entry(ROOT, path, 1, 1, path, path, 100.0 + 9 * i + j, tags, rng.standard_normal(6)))
        library.write(entries=entries)
        library.store_near_duplicates({(2 * len(QUEEN) + 1, 2 * len(entries) // 2 - 1): 0.9})
        yield library


def first_of(labels, artist):
    return int(np.flatnonzero(labels.artist == artist)[0])


def labels_file(folder, name, rows, header="file,artist,genre"):
    (folder / name).write_text("\n".join([header, *rows]) + "\n")
    return folder / name


@pytest.mark.parametrize("by_file", [False, True])
def test_folds_part_no_artist_and_no_recording(library, tmp_path, by_file):
    tracks = library.tracks()
    rows = [f'{t.path},"{t.artist}",{t.genre}' for t in tracks]
    labels = read_labels(labels_file(tmp_path, "l.csv", rows))
    found = labelled_by_file(library, labels) if by_file else labelled_by_tags(library)
    groups = found.labels.groups
    assert len({groups[first_of(found.labels, name)] for name in QUEEN}) == 1
    assert len(set(groups)) == len(OTHERS)  # Queen, and two of the others are one
    (genre,) = usable_tasks(found.labels)
    copies = [first_of(found.labels, OTHERS[0]), first_of(found.labels, OTHERS[-1])]
    for seed in range(5):
        for train, test in grouped_folds(genre.target, genre.groups, 4, seed=seed):
            assert not set(groups[train]) & set(groups[test])
            assert len({i in set(test) for i in copies}) == 1


def test_copies_are_one_recording(library):
    found = labelled_by_tags(library)
    assert found.labels.recordings is not None
    assert len(set(found.labels.recordings.tolist())) == len(found.tracks) - 1


def test_a_copy_of_a_judged_track_is_not_learned_from(library):
    found = labelled_by_tags(library)
    (genre,) = usable_tasks(found.labels)
    test = np.zeros(len(found.tracks), bool)
    judged, copy = first_of(found.labels, OTHERS[0]), first_of(found.labels, OTHERS[-1])
    test[judged] = True
    train, asked = _split(genre, test, 0, "x", found.labels.recordings)
    assert asked.tolist() == [judged]
    assert copy not in train
    assert len(train) == len(found.tracks) - 2


def test_a_test_set_is_matched_as_labels_are(library, tmp_path):
    """By the end of a path: in another spelling, or with more or less of it, it is the same track."""
    rows = [f"{t.path},{t.genre}" for t in library.tracks()]
    labels = labels_file(tmp_path, "labels.csv", rows, "file,genre")
    judged = ["music/0/0.ogg", "0\\1.ogg", f"{ROOT}/1/./0.ogg".replace(os.sep, "/"), "1/1.ogg", "none/x.ogg"]
    test = labels_file(tmp_path, "test.csv", judged, "file")
    asked = ["evaluate", "labels-curve", "--library", str(library.path), "--labels", str(labels), "--test", str(test)]
    done = invoke([*asked, "--fractions", "1", "--repeats", "2", "--no-baselines", "--json"])
    assert done.exit_code == 0, done.output
    assert {p["labelled"] for p in json.loads(done.stdout)["points"]} == {len(rows) - 4}


def test_a_copy_is_no_neighbour_that_tells_anything(library):
    """A copy of the query, under another artist or album, is left out of its ranking."""
    x = np.eye(4)[[0, 0, 1, 2]] + 0.01 * np.arange(16).reshape(4, 4)
    artist, none = np.array(["a", "a", "a", "b"], object), np.array([""] * 4, object)
    rows = [
        retrieval_rows([Features("x", x)], artist, none, none, recordings=r)[0] for r in (None, np.array([0, 0, 1, 2]))
    ]
    assert rows[0].queries == rows[1].queries == 3
    assert rows[1].map < rows[0].map
    tracks = library.tracks()
    vectors = library.vectors()[1]
    plain, without = (_by_artist(vectors, tracks, pairs) for pairs in ([], library.near_duplicates()))
    assert plain is not None
    assert without is not None
    assert plain.k == evaluate.K


def test_artists_of_one_recording_are_held_out_together(library):
    listens = [Listen(t.artist or "", t.title or "", plays=1) for t in library.tracks()]
    by_id = {t.id: t.artist for t in library.tracks()}
    together = [{*QUEEN}, {OTHERS[0], OTHERS[-1]}]
    for seed in range(12):
        asked = hold_out(library, listens, match_listens(library, listens), 0.4, np.random.default_rng(seed))
        hidden = {by_id[i] for i in asked.hidden.tolist()}
        for some in together:
            assert not hidden & some or some <= hidden
