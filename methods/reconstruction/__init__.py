"""UniAD's reconstruction of frozen features by a transformer, which is DRDC's base branch too."""
