"""Files that networks are written to and read from."""
