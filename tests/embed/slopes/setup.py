from setuptools import Extension, setup

import fastbp

setup(ext_modules=[Extension("slopes", ["slopes.c"], include_dirs=[fastbp.get_include()])])
