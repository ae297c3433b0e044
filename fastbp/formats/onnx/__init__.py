"""ONNX files, which onnxruntime and many other programs run: written of networks, and read.

Needs the library onnx: ``pip install "fastbp[onnx]"``. docs/interchange.md says what becomes what.
"""

from ...errors import MissingDependencyError

try:
    import onnx  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "onnx":
        raise
    raise MissingDependencyError(
        'to_onnx and from_onnx need onnx, which is not installed: pip install "fastbp[onnx]"'
    ) from error
