"""The report as one HTML file that needs nothing else: no network, no neighbour, no server."""

from adbench.report.html.document import document as document

__all__ = ["document"]
