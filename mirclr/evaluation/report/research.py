"""A report for researchers: how good neighbours are, hubs, robustness, in the terms of the field."""

from collections.abc import Sequence

from mirclr.evaluation.report.parts import Bars, Part
from mirclr.evaluation.report.values import (
    AS_IS,
    GAIN_DB,
    HIT,
    MP3,
    NEAR_SECONDS,
    NEAR_SIMILARITY,
    NOISY,
    QUIET,
    SAME_ARTIST,
    SNR_DB,
    Histogram,
    LibraryReport,
)
from mirclr.terminal import number

_DESCRIBED = {
    AS_IS: "none",
    MP3: "mp3",
    QUIET: f"gain of {GAIN_DB:.0f} dB",
    NOISY: f"white noise, SNR {SNR_DB:.0f} dB",
}


def research_parts(report: LibraryReport) -> list[Part]:
    """The report in parts for researchers, each with a note on how to read it; parts without rows are left out."""
    of_encoder = report.encoder
    name = f"{of_encoder['name']} ({of_encoder['digest'][:12]})" if of_encoder else ""
    encoder = (("encoder", name), ("components", of_encoder["dim"])) if of_encoder else ()
    parts = [
        Part("Encoder", (), (), (*encoder, ("tracks without a vector", report.without_vector))),
        _retrieval(report),
        _duplicates(report),
        _hubs(report),
        _diversity(report),
        _robustness(report),
        Part(
            "Files that could not be decoded again",
            columns=("file and reason",),
            rows=tuple((problem,) for problem in (report.robustness.problems if report.robustness else ())),
        ),
        Part(
            "Outliers",
            (f"The tracks with the lowest mean cosine to their {report.k} nearest.",),
            ("track", "cosine"),
            tuple((o.track, o.cosine) for o in report.outliers),
        ),
        Part("Not measured", (), ("what", "why"), tuple(report.not_measured.items())),
    ]
    return [part for part in parts if part.rows]


def _asked(r: LibraryReport) -> str:
    """Whose neighbours were asked for, where it is not all tracks or not exactly."""
    sample = "" if r.asked == r.tracks - r.without_vector else f"Neighbours of a sample of {r.asked} tracks, among all."
    return sample if r.exact else f"{sample} The index finds nearly all of the nearest, not each.".strip()


def _note(*sentences: str) -> tuple[str, ...]:
    return tuple(filter(None, sentences))


def _retrieval(r: LibraryReport) -> Part:
    rows = tuple(
        (name, f.map, f.chance_map, f.hit, f.chance_hit, f.queries)
        for name, f in (("artist, on other albums", r.artist), ("album", r.album))
        if f
    )
    note = _note(
        f"Mean average precision (mAP), and how often one is among the first {HIT}; beside chance, the expected value "
        "for random order.",
        "For artists the tracks of a track's own album are left out.",
    )
    columns = ("same", "mAP", "chance", f"hit@{HIT}", "chance", "queries")
    return Part("Neighbours of the same artist and album", note, columns, rows)


def _duplicates(r: LibraryReport) -> Part:
    d = r.duplicates
    near = () if d.near is None else (("near-duplicates", d.near), ("their fraction", d.fraction))
    rows = (*near, ("stored pairs of one recording", d.stored_pairs), ("tracks in them", d.stored_tracks))
    note = _note(
        f"Tracks with a neighbour of cosine above {NEAR_SIMILARITY} whose length is the same within "
        f"{NEAR_SECONDS:.0f} s.",
        _asked(r),
    )
    bars = (_counts("tracks by the cosine of their nearest neighbour", r.nearest),) if r.nearest else ()
    return Part("Near-duplicates", note, (), rows, bars)


def _hubs(r: LibraryReport) -> Part:
    if not r.hubs:
        return Part("Hubs")
    rows = (
        (f"skewness of N_{r.k}", r.hubs.skewness),
        (f"fraction of antihubs (N_{r.k} = 0)", r.hubs.antihubs),
        ("largest hub", r.hubs.largest),
        (f"its N_{r.k}", r.hubs.largest_count),
        (f"mean N_{r.k}", r.k * r.asked / (r.tracks - r.without_vector)),
    )
    asked = _asked(r)
    note = _note(
        f"N_{r.k}: how often a track is among the {r.k} nearest of others.",
        "A skewness above 1 means that a few tracks turn up everywhere; antihubs are never found.",
        asked,
        "With fewer lists more tracks are never found, and the skewness is higher." if "sample" in asked else "",
    )
    return Part("Hubs", note, (), rows, (_counts(f"tracks by N_{r.k}", r.hubs.occurrences),))


def _diversity(r: LibraryReport) -> Part:
    if not r.diversity:
        return Part("Artists in lists")
    crowded = f"fraction of lists with more than {SAME_ARTIST} tracks of one artist"
    rows = (("distinct artists", r.diversity.artists), (crowded, r.diversity.crowded))
    return Part("Artists in lists", _note(f"Of lists of the {r.k} nearest.", _asked(r)), (), rows)


def _robustness(r: LibraryReport) -> Part:
    if not r.robustness:
        return Part("Robustness")
    changes, kbps = r.robustness.changes, r.robustness.mp3_kbps
    rate = f"the mp3 has {kbps:.1f} kbps (mono, 44.1 kHz)" if kbps else "this system's libsndfile writes no mp3"
    note = _note(
        f"{r.robustness.tracks} tracks embedded again; {rate}.",
        f"Overlap: the fraction of a track's {r.k} nearest that stay when it is changed. 1 is best.",
    )
    names = [_DESCRIBED[c.name] for c in changes]
    overlaps = [c.overlap for c in changes if c.overlap is not None]
    bars = [_fractions(f"overlap@{r.k}", names, overlaps)] if overlaps else []
    bars.append(_fractions("cosine to the stored vector", names, [c.cosine for c in changes]))
    rows = tuple((name, c.overlap, c.cosine) for name, c in zip(names, changes, strict=True))
    return Part("Robustness", note, ("change", f"overlap@{r.k}", "cosine"), rows, tuple(bars))


def _counts(caption: str, of: Histogram) -> Bars:
    return Bars(caption, of.labels, of.counts, tuple(map(number, of.counts)))


def _fractions(caption: str, labels: Sequence[str], values: Sequence[float]) -> Bars:
    return Bars(caption, tuple(labels), tuple(values), tuple(map(number, values)), top=1.0)
