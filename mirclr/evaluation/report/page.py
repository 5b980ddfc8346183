"""A report for people: `tables`, and `to_html` as one page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

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
    """A part of the report for people; `note` says how to read it."""

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
    doubled: list[tuple[str, Any]] = [] if d.near is None else [("near-duplicates", d.near), ("their share", d.share)]
    doubled += [("stored pairs of one recording", d.stored_pairs), ("tracks in them", d.stored_tracks)]
    hubs: list[tuple[str, Any]] = []
    if r.hubs:
        hubs = [
            (f"skewness of N_{r.k}", r.hubs.skewness),
            (f"share of antihubs (N_{r.k} = 0)", r.hubs.antihubs),
            ("largest hub", r.hubs.largest),
            (f"its N_{r.k}", r.hubs.largest_count),
            (f"mean N_{r.k}", r.k * r.asked / (r.tracks - r.without_vector)),
        ]
    diversity: list[tuple[str, Any]] = []
    if r.diversity:
        crowded = f"share of lists with more than {SAME_ARTIST} tracks of one artist"
        diversity = [("distinct artists", r.diversity.artists), (crowded, r.diversity.crowded)]
    changes, changed, problems = [], "", list[tuple[str]]()
    if r.robustness:
        changes = [(_DESCRIBED[c.name], c.overlap, c.cosine) for c in r.robustness.changes]
        problems = [(p,) for p in r.robustness.problems]
        kbps = r.robustness.mp3_kbps
        rate = f"the mp3 has {kbps:.1f} kbps (mono, 44.1 kHz)" if kbps else "this system's libsndfile writes no mp3"
        changed = (
            f"{r.robustness.heard} tracks heard again; {rate}. Overlap: the share of a track's {r.k} nearest that stay "
            "when it is changed. 1 is best."
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
        Table("files that could not be heard again", "", ("file and reason",), tuple(problems)),
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


_STYLE = """
:root{color-scheme:light dark;--back:#fff;--ink:#1b1f24;--soft:#59636e;--line:#d5dae0;--bar:#2f6f9f}
@media(prefers-color-scheme:dark){:root{--back:#14171b;--ink:#e6e9ed;--soft:#9aa4af;--line:#333a42;--bar:#6fb1e0}}
body{margin:0 auto;padding:1rem;max-width:52rem;background:var(--back);color:var(--ink)}
body{font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .25rem}
p{color:var(--soft);margin:.25rem 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.5rem 0}
th,td{text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td{overflow-wrap:anywhere;min-width:4rem}
.number{text-align:right;font-variant-numeric:tabular-nums}
figure{margin:1rem 0}figcaption{color:var(--soft)}
svg{width:100%;max-width:36rem;height:auto}rect{fill:var(--bar)}line{stroke:var(--line)}
text{fill:var(--ink);font:10px system-ui,sans-serif;text-anchor:middle}
"""


def to_html(report: LibraryReport) -> str:
    """The report as one HTML page that needs nothing else: no scripts, no files, plots as inline SVG."""
    plots = _plots(report)
    body = []
    for part in tables(report):
        body.append(f"<section><h2>{_text(part.title)}</h2>")
        if part.note:
            body.append(f"<p>{_text(part.note)}</p>")
        body.append(_html_table(part))
        body += plots.get(part.title, [])
        body.append("</section>")
    title = f"Report on {report.library}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _plots(report: LibraryReport) -> dict[str, list[str]]:
    """SVG figures by the title of the table that they stand below."""
    plots: dict[str, list[str]] = {}
    if report.nearest:
        of = report.nearest
        plots["duplicates"] = [_bars("tracks by the cosine of their nearest neighbour", of.labels, of.counts)]
    if report.hubs:
        of = report.hubs.occurrences
        plots["hubs"] = [_bars(f"tracks by N_{report.k}", of.labels, of.counts)]
    if report.robustness:
        changes = report.robustness.changes
        names = [c.name for c in changes]
        kept = [c.overlap for c in changes if c.overlap is not None]
        plots["robustness"] = [_bars(f"overlap@{report.k}", names, kept, top=1)] if kept else []
        plots["robustness"].append(_bars("cosine to the stored vector", names, [c.cosine for c in changes], top=1))
    return plots


def _bars(title: str, labels: Sequence[str], values: Sequence[float], *, top: float | None = None) -> str:
    """A bar chart of values, 0 and above, as an SVG figure; below 0 there is no bar.

    Parameters
    ----------
    title : str
        What the bars are.
    labels : (n,) of str
        Shown in full with a bar's value; below the axis up to the first dash, and where there are many, some of them.
    values : (n,) of float
        Heights.
    top : float, optional
        Value of a bar of full height; the highest unless given.
    """
    width, height, base = 360, 170, 145
    top = top or max([*values, 1e-9])
    step = width / len(values)
    few = len(values) <= 12
    parts = []
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        tall = min(1.0, max(0.0, value / top)) * (base - 20)
        middle, said = (i + 0.5) * step, f"{value:.3f}" if isinstance(value, float) else str(value)
        parts.append(
            f'<rect x="{i * step + 0.1 * step:.1f}" y="{base - tall:.1f}" width="{0.8 * step:.1f}" '
            f'height="{tall:.1f}"><title>{_text(label)}: {_text(said)}</title></rect>'
        )
        if few:
            parts.append(f'<text x="{middle:.1f}" y="{base - tall - 4:.1f}">{_text(said)}</text>')
        if few or i % 5 == 0:
            parts.append(f'<text x="{middle:.1f}" y="{base + 14}">{_text(label.split("–")[0])}</text>')
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{_text(title)}">'
        f'<line x1="0" y1="{base}" x2="{width}" y2="{base}"/>{"".join(parts)}</svg>'
        f"<figcaption>{_text(title)}</figcaption></figure>"
    )


def _html_table(part: Table) -> str:
    numeric = [
        all(isinstance(row[i], int | float) or row[i] is None for row in part.rows) for i in range(len(part.columns))
    ]
    kinds = [' class="number"' if is_numeric else "" for is_numeric in numeric]
    head = "".join(f"<th{kind}>{_text(name)}</th>" for kind, name in zip(kinds, part.columns, strict=True))
    rows = "".join(
        "<tr>" + "".join(f"<td{kind}>{_text(_cell(v))}</td>" for kind, v in zip(kinds, row, strict=True)) + "</tr>"
        for row in part.rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _text(text: str) -> str:
    return escape(shown(text))
