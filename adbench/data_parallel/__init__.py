"""Training one cell on several devices of a machine, by processes that share each batch."""
