"""The report: a world and its verdict in one HTML file, and the same numbers as JSON.

    evidence · tables · neighbours   rows of every figure, from sealed evidence and by SQL
        ▼
    facts                            one document: `report.json`
        ▼
    figures · sections · page        Vega-Lite specifications and HTML over that document

Every number on the page is in `report.json`.
"""

from fraudworld.report.publish import TWIN, Written, files_of, refresh, write

__all__ = ["TWIN", "Written", "files_of", "refresh", "write"]
