# Marks fastbp as a package for `cimport`; the modules of the engine have their .pxd beside them.
