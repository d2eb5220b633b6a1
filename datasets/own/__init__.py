"""Images of one's own, found by a path, without Python: folders and tables of files."""
