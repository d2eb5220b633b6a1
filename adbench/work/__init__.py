"""Claims and runs the cells of a plan; a launcher starts processes that do (`serve`)."""
