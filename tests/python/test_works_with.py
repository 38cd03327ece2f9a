"""docs/works-with.md shows what is tested: a line, or a block, of each program, as it is there."""

from __future__ import annotations

import re

from support import ROOT
from works_with import PROGRAMS

PAGE = ROOT / "docs" / "works-with.md"
ROW = re.compile(r"^\| \[[^]]+\]\(\S+/(tests/works-with/\S+)\) \| `(.+)` \|$", re.MULTILINE)
BLOCK = re.compile(r"^<!-- from (\S+) -->\n```\w+\n(.+?)\n```$", re.MULTILINE | re.DOTALL)


def test_the_page_has_each_program_and_shows_it_as_it_is() -> None:
    text = PAGE.read_text()
    shown = [*ROW.findall(text), *BLOCK.findall(text)]
    tested = sorted(str(program.relative_to(ROOT)) for program in PROGRAMS)
    assert sorted(path for path, _ in shown) == tested
    for path, code in shown:
        assert f"\n{code}\n" in (ROOT / path).read_text(), path
