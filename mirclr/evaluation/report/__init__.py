"""A report on one's own library: `report_on` measures, `LibraryReport` holds, `tables` and `to_html` show."""

from mirclr.evaluation.report.measure import report_on
from mirclr.evaluation.report.page import tables, to_html
from mirclr.evaluation.report.values import Hubs, LibraryReport

__all__ = ["Hubs", "LibraryReport", "report_on", "tables", "to_html"]
