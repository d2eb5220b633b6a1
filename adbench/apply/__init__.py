"""A finished cell on new images: which cell, its model, and what it says of files."""
