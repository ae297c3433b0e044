"""The file formats that networks are saved in, and networks as programs of other languages.

`to_c` gives a network as a file of C, `to_c_header` its declarations, and `to_fortran` a module of
Fortran that calls it.
"""

from .c99 import to_c, to_c_header
from .fortran import to_fortran

__all__ = ["to_c", "to_c_header", "to_fortran"]
