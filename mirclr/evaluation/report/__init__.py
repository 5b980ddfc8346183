"""A report on one's own library.

In: a library. Out: `LibraryReport`, plain values, as `report_on` measures them (measure.py, overview.py); for people
as `owner_parts` and `research_parts`, and with a `song_map` as one page by `to_html`.
"""

from mirclr.evaluation.report.measure import report_on
from mirclr.evaluation.report.owner import owner_parts
from mirclr.evaluation.report.page import to_html
from mirclr.evaluation.report.research import research_parts
from mirclr.evaluation.report.song_map import song_map
from mirclr.evaluation.report.values import Hubs, LibraryReport

__all__ = ["Hubs", "LibraryReport", "owner_parts", "report_on", "research_parts", "song_map", "to_html"]
