"""The kinds of files in a results folder, each written atomically and checked when read."""
