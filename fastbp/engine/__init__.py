"""The engine in Cython, and what chooses its threads: not public, every argument checked above."""
