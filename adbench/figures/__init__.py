"""Pictures from records: contact sheets, curves, histograms, latency, ranks. PNG and PDF.

`draw` makes them all, and the small pictures that the HTML report shows. Nothing here changes a
number: thresholds and colours are for looking.
"""

from adbench.figures.draw import Drawn as Drawn
from adbench.figures.draw import Workshop as Workshop
from adbench.figures.draw import draw as draw
from adbench.figures.draw import write_contact_sheets as write_contact_sheets
from adbench.figures.maps import KeptMaps as KeptMaps
from adbench.figures.subjects import subjects_of_outcomes as subjects_of_outcomes
from adbench.figures.subjects import subjects_of_records as subjects_of_records

__all__ = [
    "Drawn",
    "KeptMaps",
    "Workshop",
    "draw",
    "subjects_of_outcomes",
    "subjects_of_records",
    "write_contact_sheets",
]
