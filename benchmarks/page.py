"""docs/benchmarks.md, whose sections are each the output of one benchmark, between two marks:

<!-- begin registry -->
…
<!-- end registry -->
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def write_section(name: str, text: str) -> None:
    """Put this text between the marks of that name, and at the end of the page where there are none yet."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    page = PAGE.read_text(encoding="utf-8")
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not marked.search(page):
        page = f"{page.rstrip()}\n\n{begin}{end}\n"
    PAGE.write_text(marked.sub(lambda _: section, page), encoding="utf-8")
