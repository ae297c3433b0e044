"""The compiled engine and what serves it: not public; arguments are checked by the callers."""
