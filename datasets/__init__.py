"""One file a data set: its card and its layout."""
