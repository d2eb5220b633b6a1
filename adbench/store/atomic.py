"""`adbench.store.files` by the name of before, until all import it from there."""

from adbench.store.files import CHECKSUM as CHECKSUM
from adbench.store.files import canonical_json as canonical_json
from adbench.store.files import digest as digest
from adbench.store.files import explain_os_error as explain_os_error
from adbench.store.files import forbids_writing as forbids_writing
from adbench.store.files import is_damage as is_damage
from adbench.store.files import read_json as read_json
from adbench.store.files import read_or_set_aside as read_or_set_aside
from adbench.store.files import replacing as replacing
from adbench.store.files import say_damaged as say_damaged
from adbench.store.files import write_json as write_json
from adbench.store.files import write_text as write_text
