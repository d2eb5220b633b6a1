"""Pictures from records: contact sheets, curves, histograms, latency, ranks. PNG and PDF.

`draw` makes them all, and the small pictures that the HTML report shows. Nothing here changes a
number: thresholds and colours are for looking.
"""
