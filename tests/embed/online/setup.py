from Cython.Build import cythonize
from setuptools import Extension, setup

import fastbp

module = Extension("online", ["online.pyx"], include_dirs=[fastbp.get_include()])
setup(ext_modules=cythonize([module], language_level=3))
