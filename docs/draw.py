"""Runs the example of the README and puts its picture beside this script, or into the folder named.

python docs/draw.py [FOLDER]
"""

import contextlib
import re
import shutil
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent


def example() -> str:
    """Return the first Python block of the README."""
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    return re.search(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[1]


def draw(folder: Path) -> None:
    """Run the example where its files do not matter, and keep the picture."""
    with tempfile.TemporaryDirectory() as scratch:
        with contextlib.chdir(scratch):
            exec(compile(example(), "README.md", "exec"), {})
        shutil.copy(Path(scratch, "history.png"), folder)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
