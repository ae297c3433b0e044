"""The bytes of a file, a pipe or standard input, unpacked, from the start as often as wanted."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from .. import _check
from ..errors import InputError
from .libraries import pyarrow

__all__ = ["Source"]

# What the first bytes of a packed file are. Its suffix may say something else.
_PACKED = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an archive of nothing
}
_SUFFIXES = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})
_WORKBOOK = "[Content_Types].xml"


class Source:
    """Where a table is read from.

    Parameters
    ----------
    path : str or os.PathLike
        The name of a file or of a pipe; "-" for standard input.

    Attributes
    ----------
    name : str
        As it was given.
    suffix : str
        In small letters, of what is packed: ".csv" for data.CSV.gz; "" if there is none.
    packed : str
        "gz", "bz2", "xz", "zst", "zip", or "".
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = _check.path(path)
        # A pipe can be read once.
        self._content = _content_once(self.name)
        with self._raw() as raw:
            head = raw.read(8)
        self.packed = next((kind for mark, kind in _PACKED.items() if head.startswith(mark)), "")
        self._member = self._only_member() if self.packed == "zip" else ""
        if self._member == _WORKBOOK:
            self.packed = ""
        inner = Path(self._member if self.packed == "zip" else self.name)
        if inner.suffix.lower() in _SUFFIXES:
            inner = inner.with_suffix("")
        self.suffix = inner.suffix.lower()

    @classmethod
    def of_text(cls, name: str, text: str) -> Source:
        """Return lines of separated text, made of the file of this name, as what is read."""
        source = cls.__new__(cls)
        source.name, source._content = name, text.encode("utf-8", "replace")
        source.packed = source._member = ""
        source.suffix = ".csv"
        return source

    @property
    def is_workbook(self) -> bool:
        """Whether the file is one of a spreadsheet program, which is a zip archive too."""
        return self._member == _WORKBOOK

    def open(self) -> BinaryIO:
        """Open the unpacked bytes; reading what is no whole archive is an InputError."""
        raw = self._raw()
        if not self.packed:
            return raw
        return io.BufferedReader(_Unpacked(self, raw), 1 << 20)

    def head(self, n: int) -> bytes:
        """Return the first bytes."""
        with self.open() as file:
            return file.read(n)

    def whole(self) -> Any:
        """Return the name of the file, or an open one of bytes where that is not what is packed."""
        if self._content is None and not self.packed:
            return self.name
        with self.open() as file:
            return io.BytesIO(file.read())

    def _raw(self) -> BinaryIO:
        return open(self.name, "rb") if self._content is None else io.BytesIO(self._content)

    def unpacking(self, raw: BinaryIO) -> Any:
        """Return a reader of what the bytes of the file are packed from."""
        if self.packed == "gz":
            return gzip.GzipFile(fileobj=raw)
        if self.packed == "bz2":
            return bz2.BZ2File(raw)
        if self.packed == "xz":
            return lzma.LZMAFile(raw)
        if self.packed == "zst":
            return pyarrow().CompressedInputStream(raw, "zstd")
        return zipfile.ZipFile(raw).open(self._member)

    def _only_member(self) -> str:
        with self._raw() as raw:
            try:
                with zipfile.ZipFile(raw) as archive:
                    infos = [info for info in archive.infolist() if not info.is_dir()]
            except zipfile.BadZipFile as error:
                raise InputError(
                    f"{self.name} is no whole zip archive: {error}; copy it again"
                ) from None
        names = [info.filename for info in infos]
        if _WORKBOOK in names:
            return _WORKBOOK
        # Which macOS adds.
        files = [i for i in infos if not i.filename.startswith("__MACOSX/")]
        files = [i for i in files if not Path(i.filename).name.startswith(".")]
        tables = [i for i in files if Path(i.filename).suffix.lower() in TABLES] or files
        if len(tables) != 1:
            shown = ", ".join(i.filename for i in files[:12]) + (", ..." if len(files) > 12 else "")
            raise InputError(
                f"{self.name}: got an archive of {len(files)} files ({shown or 'none'}), wanted "
                "one with one table: unpack it and name the table"
            )
        if tables[0].flag_bits & 1:
            raise InputError(
                f"{self.name}: {tables[0].filename} is encrypted, wanted a plain archive: unpack it"
            )
        return tables[0].filename


# Of the members of an archive, those that are tables.
TABLES = frozenset(
    f".{suffix}"
    for suffix in (
        *("csv", "tsv", "tab", "txt", "data", "dat", "parquet", "feather", "jsonl", "ndjson"),
        *("json", "arff", "svm", "libsvm", "svmlight"),
    )
)


def _content_once(name: str) -> bytes | None:
    """Return the content of what can be read once; None of a file."""
    if name == "-":
        return sys.stdin.buffer.read()
    if stat.S_ISREG(os.stat(name).st_mode):
        return None
    with open(name, "rb") as file:
        return file.read()


class _Unpacked(io.RawIOBase):
    """The bytes of an archive; a fault of it is an error that names the file."""

    def __init__(self, source: Source, raw: BinaryIO) -> None:
        super().__init__()
        self._source, self._raw = source, raw
        self._file = source.unpacking(raw)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            found = self._file.read(len(buffer))
        except (
            EOFError,
            zlib.error,
            lzma.LZMAError,
            zipfile.BadZipFile,
            OSError,
            ValueError,
        ) as error:
            # Those of the disk have a number.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(
                f"{self._source.name} is no whole {self._source.packed} file: {error}; copy or "
                "download it again"
            ) from None
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._file.close()
        self._raw.close()
        super().close()
