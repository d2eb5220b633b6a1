"""Choosing hyper-parameters without test data: `adbench select`.

LafitE (arXiv:2307.08059, sections 3.4 and 4.5) makes a pseudo-validation set out of normal images
alone and chooses on it, one hyper-parameter after the other. The paper gives neither the sizes
and shapes nor what the normals of that set were used for before; what is done here instead:

held_out   normals set aside by a seed; methods are fitted on the rest
shapes     random masks
pseudo     fragments of held-out normals pasted onto others: images, masks, labels
steps      what to try: the method's own grid or --grid
study      what one search is, what it shares a fit between, where it keeps what
search     one point after another, each kept as it is finished
planning   from the words of the command line to studies, and from these to a selection
file       what was found, as a checked file
apply      that file on a plan (`run --selected`)
show       tables, JSON and a picture of a file
afterwards the file beside finished test records (`adbench selected`), which choosing never reads
"""
