"""Two sets of records against each other: pairing, statistics, the gate, the history."""
