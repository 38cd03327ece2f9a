"""Shows the examples of docstrings as Python code in the reference that `make site` builds."""

import re

import griffe

# The section ends where the indentation does.
SECTION = re.compile(r"^Example:\n((?:    .*\n?|\n)+)", re.MULTILINE)


class ExampleBlocks(griffe.Extension):
    """Puts the lines of each section `Example:` into a block of code."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Changes the docstring of what is in a package."""
        show_as_code(obj)

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Changes the docstring of a package."""
        show_as_code(pkg)


def show_as_code(documented: griffe.Object) -> None:
    """Changes the docstring that the page is made from."""
    if documented.docstring:
        documented.docstring.value = SECTION.sub(as_code, documented.docstring.value)


def as_code(section: re.Match[str]) -> str:
    """Returns the section with its lines between fences."""
    return f"Example:\n    ```python\n{section[1].rstrip()}\n    ```\n"
