"""`adbench.store.files` by the name of before, until the executors import it from there."""

from adbench.store.files import digest as digest
from adbench.store.files import explain_os_error as explain_os_error
from adbench.store.files import read_json as read_json
from adbench.store.files import read_or_set_aside as read_or_set_aside
from adbench.store.files import say_damaged as say_damaged
from adbench.store.files import write_json as write_json
from adbench.store.files import write_text as write_text
