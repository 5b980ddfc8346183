"""Excerpts of many files, decoded in parallel processes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from mirclr.audio.reading import Excerpts, NotRead, try_excerpts, why_lost
from mirclr.audio.source import Span
from mirclr.processes import Lost, results_in_order, seconds_for_file


@dataclass(frozen=True)
class DecodedFile:
    """One file decoded, or why it could not be."""

    file: Path
    excerpts: Excerpts | None
    error: str | None
    of_file: bool = True  # whether its content is at fault, and not the machine


def decode_files(
    files: Iterable[Path],
    *,
    count: int,
    seconds: float,
    rate: int,
    workers: int = 0,
    spans: Iterable[Span | None] = repeat(None),
) -> Iterator[DecodedFile]:
    """Decode excerpts of files in parallel processes, in order, a few files ahead of the consumer.

    Parameters
    ----------
    files : iterable of Path
        What to decode.
    count, seconds, rate
        As `mirclr.audio.read_excerpts`.
    workers : int
        Processes; 0: one a core.
    spans : iterable of Span or None
        For each file the part of it that is meant, or None for all of it.
    """
    jobs = ((file, count, seconds, rate, *([span] if span else [])) for file, span in zip(files, spans, strict=False))
    for (file, *_), result in results_in_order(try_excerpts, jobs, workers=workers, seconds_for=seconds_for_file):
        if isinstance(result, Lost):
            yield DecodedFile(file, None, why_lost(file, result), of_file=result is not Lost.OUT_OF_MEMORY)
            continue
        if isinstance(result, str):
            yield DecodedFile(file, None, result, of_file=not isinstance(result, NotRead))
        else:
            yield DecodedFile(file, result, None)
