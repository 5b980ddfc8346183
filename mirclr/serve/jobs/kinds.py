"""What each kind of job does: functions ``(library, options, report)``, run in the process of a job.

They call what the commands of the same names call. What a result holds is JSON for the page.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mirclr.terminal import counted, shown

if TYPE_CHECKING:
    from mirclr.data.scan import Found
    from mirclr.ingest.embedding import Outcome
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder
    from mirclr.serve.jobs.process import Report

Kind = Literal["embed", "sync", "classify", "describe", "duplicates", "fingerprint", "report", "map"]
Options = Mapping[str, Any]
Result = dict[str, Any]

_LISTED = 100  # files that a result names of each kind


def embed(library_path: Path, options: Options, report: Report) -> Result:
    """Listen to what is new or changed in the library's folders, as ``mirclr embed``."""
    from mirclr.api import Library
    from mirclr.ingest.sync import sync_scope
    from mirclr.library.files import absence

    with Library.open(library_path) as library:
        folders = [Path(folder) for folder in options.get("folders", ())]
        there = []
        for folder in sync_scope(library, folders):
            if (why := absence(folder)) is None:
                there.append(folder)
            else:
                report.remark(f"{folder} {why}")
        report.begin("Looking for songs")
        progress = report.counting("Listening to songs")
        done = library.embed(there, retry=bool(options.get("retry")), progress=progress)
        for line in done.remarks:
            report.remark(line)
        _make_index(library)
    counts = {did: getattr(done, did) for did in ("embedded", "unchanged", "moved", "retagged", "copied", "failed")}
    return {**counts, "failures": _failures((str(file), why) for file, why in done.failures.items())}


def sync(library_path: Path, options: Options, report: Report) -> Result:
    """Bring the library up to date with its folders, as ``mirclr sync``."""
    from mirclr.api import Library
    from mirclr.data.scan import PassedOver
    from mirclr.ingest.embedding import embed_files
    from mirclr.ingest.fingerprints import complete_fingerprints
    from mirclr.ingest.sync import apply_changes, sync_scope

    def embed_reporting(
        library: LibraryStore,
        files: Sequence[tuple[str, Found]],
        embedder: Embedder,
        *,
        workers: int = 0,
        retry: bool = False,
    ) -> Iterator[Outcome]:
        failed = 0
        with report.progress("Listening to songs", len(files)) as advance:
            for outcome in embed_files(library, files, embedder, workers=workers, retry=retry):
                failed += outcome.did == "failed"
                advance(note=f"{failed} could not be read" if failed else "")
                yield outcome

    passed = PassedOver()
    with Library.open(library_path) as library:
        scope = sync_scope(library, [Path(folder) for folder in options.get("folders", ())])
        report.begin("Looking for songs")
        changes = list(
            apply_changes(
                library,
                scope,
                list(scope),
                library.encoder,
                retry=bool(options.get("retry")),
                yes=bool(options.get("yes")),
                embed=embed_reporting,
                passed=passed,
            )
        )
        _make_index(library)
        for track, why in complete_fingerprints(library):
            report.remark(f"{track.file}: no fingerprint could be made: {why}")
    for line in passed.lines():
        report.remark(line)
    for change in changes:
        if change.did == "followed":
            report.remark(f"{change.old} is now {change.file}; rules, playlists and what could not be read follow")
    return {
        **Counter(change.did for change in changes),
        "failures": _failures((str(c.file), c.reason or "") for c in changes if c.did == "failed"),
        "kept": [{"folder": shown(str(c.file)), "reason": shown(c.reason or "")} for c in changes if c.did == "kept"],
        "removed_files": [shown(str(c.file)) for c in changes if c.did == "removed"][:_LISTED],
    }


def classify(library_path: Path, options: Options, report: Report) -> Result:
    """Guess genre and mood of all songs, as ``mirclr classify predict``."""
    from mirclr.api import Library
    from mirclr.classify.predict import count_labels, heads_for, predict_library

    counts: dict[str, dict[str, int]] = {}
    with Library.open(library_path) as library:
        used = heads_for(library)
        songs = 0
        with report.progress("Guessing genre and mood", len(used)) as advance:
            for one in used:
                ids, probabilities = predict_library(library, one.heads, one.tasks, source=one.source)
                counts |= count_labels(one.heads, probabilities)
                songs = len(ids)
                advance()
    return {"songs": songs, "counts": counts}


def describe(library_path: Path, options: Options, report: Report) -> Result:
    """Find tempo, key and loudness of the songs of which they are not known, as ``mirclr describe``."""
    from mirclr.api import Library
    from mirclr.ingest.description import describe_tracks, undescribed

    found = 0
    with Library.open(library_path) as library:
        tracks, problems, known = undescribed(library, bool(options.get("again")))
        with (
            report.progress("Finding tempo and key", len(tracks)) as advance,
            contextlib.closing(describe_tracks(library, tracks)) as results,
        ):
            for _, one in results:
                if isinstance(one, str):
                    problems.append(one)
                else:
                    found += 1
                advance(note=f"{counted(len(problems), 'file')} could not be read" if problems else "")
    return {"found": found, "known": known, "problems": [shown(line) for line in problems[:_LISTED]]}


def duplicates(library_path: Path, options: Options, report: Report) -> Result:
    """Find songs that are there twice, as ``mirclr duplicates``."""
    from mirclr.api import Library
    from mirclr.ingest.near_duplicates import (
        candidates_by_ear,
        find_candidates,
        find_near_duplicates,
        groups,
        steps_to_compare,
    )

    with Library.open(library_path) as library:
        candidates = [*find_candidates(library), *candidates_by_ear(library)]
        with report.progress("Comparing songs", steps_to_compare(library, candidates)) as advance:
            found = find_near_duplicates(library, candidates=candidates, advance=advance)
    joined = groups(found.pairs)
    return {
        "songs": len(joined),
        "files": sum(map(len, joined)),
        "problems": [shown(line) for line in found.failures[:_LISTED]],
    }


def fingerprint(library_path: Path, options: Options, report: Report) -> Result:
    """Make the fingerprints by which a recording is known, of songs without, as ``mirclr library fingerprint``."""
    from mirclr.api import Library
    from mirclr.ingest.fingerprints import fingerprint_tracks
    from mirclr.library import part_leading_out

    made = 0
    with Library.open(library_path) as library:
        tracks, problems = part_leading_out(library.tracks(library.without_fingerprint()))
        with (
            report.progress("Making fingerprints", len(tracks)) as advance,
            contextlib.closing(fingerprint_tracks(library, tracks)) as results,
        ):
            for _, found in results:
                problems += [found] if isinstance(found, str) else []
                made += not isinstance(found, str)
                advance(note=f"{counted(len(problems), 'file')} could not be read" if problems else "")
    return {"made": made, "problems": [shown(line) for line in problems[:_LISTED]]}


def report_page(library_path: Path, options: Options, report: Report) -> Result:
    """Write the report on the library beside it, as ``mirclr evaluate library -o``."""
    from mirclr.api import Library
    from mirclr.evaluation.report import report_on, song_map, to_html
    from mirclr.library.kept_files import report_page_of
    from mirclr.provenance import writing

    with Library.open(library_path) as library:
        measured = report_on(library, robustness=0, progress=report.progress)
        with report.progress("Drawing the map", 1) as advance:
            songs = song_map(library)
            advance()
    with writing(report_page_of(library_path), "w") as f:
        f.write(to_html(measured, songs))
    return {"songs": measured.tracks}


def draw_map(library_path: Path, options: Options, report: Report) -> Result:
    """Draw the map of the library, or find the places of songs that are not on it, as ``mirclr map``."""
    from mirclr import map as maps
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        label = "Drawing the map"
        report.begin(label)
        drawn = maps.draw_map(library, anew=bool(options.get("again")), report=report.counting(label))
    report.remark(str(drawn))
    return {"laid_out": drawn.laid_out, "placed": drawn.placed}


KINDS: dict[str, Callable[[Path, Options, Report], Result]] = {
    "embed": embed,
    "sync": sync,
    "classify": classify,
    "describe": describe,
    "duplicates": duplicates,
    "fingerprint": fingerprint,
    "report": report_page,
    "map": draw_map,
}
"""The function of each `Kind`."""


def _make_index(library: Any) -> None:
    """Bring the index up to date now, so that the next question need not wait for it."""
    from mirclr.errors import NoMatch

    with contextlib.suppress(NoMatch):  # of a library without tracks
        _ = library.index


def _failures(failures: Any) -> list[dict[str, str]]:
    """The first files that could not be read, and why."""
    rows = [{"file": shown(file), "reason": shown(reason.removeprefix(f"{file}: "))} for file, reason in failures]
    return rows[:_LISTED]
