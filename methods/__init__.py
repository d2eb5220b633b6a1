"""One folder or file a method, one paper each."""
