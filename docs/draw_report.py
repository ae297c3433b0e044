"""Runs the examples of docs/tables.md, and puts a picture of their report beside this script.

python docs/draw_report.py [FOLDER], which needs chromium and Pillow.
"""

import contextlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
SIZE = 900, 965
COLOURS = 64


def examples() -> str:
    """Return all Python blocks of the page."""
    text = (DOCS / "tables.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def draw(folder: Path) -> None:
    """Take a picture of the top of the report that the examples write."""
    with tempfile.TemporaryDirectory() as scratch:
        with contextlib.chdir(scratch):
            exec(compile(examples(), "tables.md", "exec"), {})
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        window = f"--window-size={SIZE[0]},{SIZE[1]}"
        files = f"--screenshot={scratch}/report.png", f"--user-data-dir={scratch}/profile"
        page = f"file://{scratch}/report.html"
        subprocess.run(["chromium", *options, window, *files, page], check=True)
        with Image.open(f"{scratch}/report.png") as picture:
            few = picture.convert("RGB").quantize(COLOURS)
            few.save(folder / "report.png", optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
