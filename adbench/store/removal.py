"""`adbench.store.files` by the name of before, until all import it from there."""

from adbench.store.files import remove as remove
