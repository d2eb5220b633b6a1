"""One cell: fit, predict, score, time and record it."""
