"""Whether a data set on disk is what its card says."""
