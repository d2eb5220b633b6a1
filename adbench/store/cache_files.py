"""`adbench.store.files` by the name of before, until all import it from there."""

from adbench.store.files import say_unkept as say_unkept
