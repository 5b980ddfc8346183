"""A report for people: `tables`, and `to_html` as one page."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from mirclr.errors import MissingExtra
from mirclr.evaluation.report.charts import charts_by_table
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
    LibraryReport,
)
from mirclr.library import shown


@dataclass(frozen=True)
class Table:
    """A part of the report for people; `note` explains how to read it."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def tables(report: LibraryReport) -> list[Table]:
    """The report in parts, each with a note on how to read it; parts without rows are left out."""
    r, encoder = report, report.encoder
    asked = "" if r.asked == r.tracks - r.without_vector else f" Neighbours of a sample of {r.asked} tracks, among all."
    if not r.exact:
        asked += " The index finds nearly all of the nearest, not each."
    counts: list[tuple[str, Any]] = [
        ("tracks", r.tracks),
        ("artists", r.artists),
        ("albums", r.albums),
        ("hours", round(r.hours, 1)),
        ("tracks without a title", r.without_title),
        ("tracks without an artist", r.without_artist),
        ("tracks without a vector", r.without_vector),
        ("files that could not be embedded", r.failures),
        ("tracks whose file is gone", r.gone),
        ("encoder", f"{encoder['name']} ({encoder['digest'][:12]}), {encoder['dim']} components" if encoder else None),
    ]
    fewer = " With fewer lists more tracks are never found, and the skewness is higher." if "sample" in asked else ""
    retrieval = [
        (name, f.map, f.chance_map, f.hit, f.chance_hit, f.queries)
        for name, f in (("artist, on other albums", r.artist), ("album", r.album))
        if f
    ]
    d = r.duplicates
    doubled: list[tuple[str, Any]] = (
        [] if d.near is None else [("near-duplicates", d.near), ("their fraction", d.fraction)]
    )
    doubled += [("stored pairs of one recording", d.stored_pairs), ("tracks in them", d.stored_tracks)]
    hubs: list[tuple[str, Any]] = []
    if r.hubs:
        hubs = [
            (f"skewness of N_{r.k}", r.hubs.skewness),
            (f"fraction of antihubs (N_{r.k} = 0)", r.hubs.antihubs),
            ("largest hub", r.hubs.largest),
            (f"its N_{r.k}", r.hubs.largest_count),
            (f"mean N_{r.k}", r.k * r.asked / (r.tracks - r.without_vector)),
        ]
    diversity: list[tuple[str, Any]] = []
    if r.diversity:
        crowded = f"fraction of lists with more than {SAME_ARTIST} tracks of one artist"
        diversity = [("distinct artists", r.diversity.artists), (crowded, r.diversity.crowded)]
    changes, changed, problems = [], "", list[tuple[str]]()
    if r.robustness:
        changes = [(_DESCRIBED[c.name], c.overlap, c.cosine) for c in r.robustness.changes]
        problems = [(p,) for p in r.robustness.problems]
        kbps = r.robustness.mp3_kbps
        rate = f"the mp3 has {kbps:.1f} kbps (mono, 44.1 kHz)" if kbps else "this system's libsndfile writes no mp3"
        changed = (
            f"{r.robustness.tracks} tracks embedded again; {rate}. Overlap: the fraction of a track's {r.k} nearest "
            "that stay when it is changed. 1 is best."
        )
    parts = [
        Table("library", "", ("", "value"), tuple(counts)),
        Table(
            "neighbours of the same artist and album",
            f"Mean average precision, and how often one is among the first {HIT}; beside chance, the expected value "
            "for random order. For artists the tracks of a track's own album are left out.",
            ("same", "mAP", "chance", f"hit@{HIT}", "chance", "queries"),
            tuple(retrieval),
        ),
        Table(
            "duplicates",
            f"Near-duplicates: tracks with a neighbour of cosine above {NEAR_SIMILARITY} whose length is the same "
            f"within {NEAR_SECONDS:.0f} s.{asked}",
            ("", "value"),
            tuple(doubled),
        ),
        Table(
            "hubs",
            f"N_{r.k}: how often a track is among the {r.k} nearest of others. A skewness above 1 means that a few "
            f"tracks turn up everywhere; antihubs are never found.{asked}{fewer}",
            ("", "value"),
            tuple(hubs),
        ),
        Table("artists in lists", f"Of lists of the {r.k} nearest.{asked}", ("", "value"), tuple(diversity)),
        Table("robustness", changed, ("change", f"overlap@{r.k}", "cosine"), tuple(changes)),
        Table("files that could not be decoded again", "", ("file and reason",), tuple(problems)),
        Table(
            "outliers",
            f"The tracks with the lowest mean cosine to their {r.k} nearest: odd ones, or files that are not music.",
            ("track", "cosine", "file"),
            tuple((o.track, o.cosine, o.file) for o in r.outliers),
        ),
        Table(
            "files that could not be embedded",
            _of(len(r.broken), r.failures),
            ("file", "reason"),
            tuple((b.file, b.reason) for b in r.broken),
        ),
        Table(
            "files that are gone", _of(len(r.gone_files), r.gone), ("file",), tuple((file,) for file in r.gone_files)
        ),
        Table("not measured", "", ("what", "why"), tuple(r.not_measured.items())),
    ]
    return [part for part in parts if part.rows]


_DESCRIBED = {
    AS_IS: "none",
    MP3: "mp3",
    QUIET: f"gain of {GAIN_DB:.0f} dB",
    NOISY: f"white noise, SNR {SNR_DB:.0f} dB",
}


def _of(listed: int, all_: int) -> str:
    return "" if listed == all_ else f"The first {listed} of {all_}."


def to_html(report: LibraryReport) -> str:
    """The report as one HTML page that needs nothing else: no scripts, no files, charts as inline SVG.

    Without matplotlib it has no charts, and names what to install.
    """
    from jinja2 import Environment, StrictUndefined

    try:
        charts, no_charts = charts_by_table(report), ""
    except MissingExtra as error:
        charts, no_charts = {}, str(error)
    # names are those of files from anywhere: whatever stands on the page is made printable, then escaped
    page = Environment(autoescape=True, finalize=_printable, undefined=StrictUndefined, trim_blocks=True)
    template = page.from_string(files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8"))
    title = f"Report on {report.library}"
    return template.render(
        title=title, parts=tables(report), numeric=_numeric, cell=_cell, charts=charts, no_charts=no_charts
    )


def _numeric(part: Table) -> list[bool]:
    """Which columns hold numbers alone."""
    return [all(isinstance(v, int | float | None) for v in column) for column in zip(*part.rows, strict=True)]


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _printable(value: Any) -> Any:
    """A value as text without what cannot be printed; markup stays as it is."""
    return value if hasattr(value, "__html__") else shown(str(value))
