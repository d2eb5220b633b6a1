"""The version, for records, citations and `--version`."""

__version__ = "0.1.0"
