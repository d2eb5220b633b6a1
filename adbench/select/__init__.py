"""Choosing hyper-parameters without test data: `adbench select`.

LafitE (arXiv:2307.08059, sections 3.4 and 4.5) makes a pseudo-validation set out of normal images
alone and chooses on it, one hyper-parameter after the other. Here that set is a data selection
(`pseudo`, with masks from `shapes`), each value tried is an ordinary cell on it, run in a results
folder of its own, `RESULTS/selections`, and the choice is read from the records.

steps       what to try: the method's own grid or --grid
search      the cells of one step after the other, and what their records choose
file        what was found, as a checked file
apply       that file on a plan (`run --selected`)
afterwards  the file beside finished test records, which choosing never reads
show        tables, JSON and a picture of a file
"""
