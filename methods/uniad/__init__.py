"""UniAD: a transformer that reconstructs frozen features, for all categories at once."""
