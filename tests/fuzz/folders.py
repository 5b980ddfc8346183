"""Damaged files by the folder, as `mirclr embed` takes them: what is reported of each is what the library holds."""

import random
import tempfile
from pathlib import Path
from typing import Any

from mirclr.errors import MirclrError
from mirclr.ingest.embedding import embed_files
from mirclr.library import LibraryStore
from mirclr.models.embedder import Embedder
from tests.fuzz.mutate import mutated
from tests.fuzz.stores import ENCODER

_FILES = 20


def check_folders(corpus: Path, seed: int, count: int) -> dict[str, Any]:
    """Embed folders of damaged files; how many files became tracks, and what does not hold."""
    embedder = Embedder.load(corpus / "embedding" / ENCODER, device="cpu")
    samples = sorted(p for p in (corpus / "embedding").iterdir() if p.name != ENCODER)
    told: dict[str, Any] = {"folders": count, "files": 0, "embedded": 0, "failed": 0, "violations": []}
    for number in range(count):
        chance = random.Random(f"{seed}:folder:{number}")
        with tempfile.TemporaryDirectory(prefix="mirclr-fuzz-") as folder:
            root = Path(folder, "music")
            root.mkdir()
            whole: dict[Path, bytes] = {}
            for i in range(_FILES):
                sample = chance.choice(samples)
                file = root / f"{i}{sample.suffix}"
                whole[file] = mutated(sample.read_bytes(), [chance.choice(samples).read_bytes()], chance)
                file.write_bytes(whole[file])
            try:
                _embed(root, whole, embedder, told)
            except (AssertionError, MirclrError, OSError) as error:
                told["violations"].append({"case": f"folder {number}", "came": "HARM", "why": str(error)})
    return told


def _embed(root: Path, whole: dict[Path, bytes], embedder: Embedder, told: dict[str, Any]) -> None:
    with LibraryStore.open(root.with_name("library.db"), create=True) as library:
        files = [(str(root), file) for file in whole]
        outcomes = {outcome.file: outcome.did for outcome in embed_files(library, files, embedder, workers=1)}
        held, failed = {t.file for t in library.tracks()}, {f.file for f in library.failures()}
        problems = library.verify()
    assert set(outcomes) == set(whole), "a file without an outcome"
    assert held == {f for f, did in outcomes.items() if did != "failed"}, "outcomes that the library does not hold"
    assert failed == {f for f, did in outcomes.items() if did == "failed"}, "failures that the library does not hold"
    assert not problems, f"the library is not sound: {problems}"
    assert all(file.read_bytes() == content for file, content in whole.items()), "a file was changed"
    told["files"] += len(whole)
    told["embedded"] += len(held)
    told["failed"] += len(failed)
