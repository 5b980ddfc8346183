"""A report as one HTML page: the owner's part, a map of the music, and what researchers ask for."""

from importlib.resources import files
from typing import Any

from mirclr.evaluation.report.owner import owner_parts
from mirclr.evaluation.report.parts import Part
from mirclr.evaluation.report.research import research_parts
from mirclr.evaluation.report.song_map import SongMap
from mirclr.evaluation.report.values import LibraryReport
from mirclr.terminal import number, shown


def to_html(report: LibraryReport, songs: SongMap | None = None) -> str:
    """The report as one HTML page that needs nothing else: no scripts, no files, no network.

    Parameters
    ----------
    report : LibraryReport
        As `report_on` makes it.
    songs : SongMap, optional
        A picture of the library, as `song_map` makes it.
    """
    from jinja2 import Environment, StrictUndefined

    # names are those of files from anywhere: whatever stands on the page is made printable, then escaped
    page = Environment(autoescape=True, finalize=_printable, undefined=StrictUndefined, trim_blocks=True)
    template = page.from_string(files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        library=report.library,
        owner=owner_parts(report, whole=True),
        research=research_parts(report),
        songs=songs,
        is_figures=_is_figures,
        cell=_cell,
    )


def _is_figures(part: Part) -> list[bool]:
    """Which columns hold numbers alone."""
    return [all(isinstance(v, int | float | None) for v in column) for column in zip(*part.rows, strict=True)]


def _cell(value: Any) -> str:
    if value is None or value == "":
        return ""
    return number(value) if isinstance(value, int | float) else str(value)


def _printable(value: Any) -> Any:
    """A value as text without what cannot be printed; markup stays as it is."""
    return value if hasattr(value, "__html__") else shown(str(value))
