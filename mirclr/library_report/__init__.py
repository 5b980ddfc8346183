"""A report on one's own library: `report_on` measures, `LibraryReport` holds, `tables` and `to_html` show."""

from mirclr.library_report.measure import report_on
from mirclr.library_report.page import tables, to_html
from mirclr.library_report.values import Hubs, LibraryReport

__all__ = ["Hubs", "LibraryReport", "report_on", "tables", "to_html"]
