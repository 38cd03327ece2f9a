"""Sub-interpreters are refused, clearly, and harm nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The module that CPython itself has for them, by its name in this version.
_START = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
run = getattr(interpreters, "run_string", None) or interpreters.exec
IMPORT = '''
try:
    import codex_auth_sdk
except ImportError as error:
    print(error)
'''
def create(kind):
    if kind == "isolated":
        return interpreters.create()
    try:
        return interpreters.create("legacy")
    except TypeError:
        return interpreters.create(isolated=False)
def import_elsewhere():
    interpreter = create(sys.argv[1])
    assert run(interpreter, IMPORT) is None
    return interpreter
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython has them")
@pytest.mark.parametrize(
    "body",
    [
        "interpreters.destroy(import_elsewhere()); import codex_auth_sdk",
        "import codex_auth_sdk; interpreters.destroy(import_elsewhere())",
        # One that is left behind once hung the exit.
        "import_elsewhere(); import codex_auth_sdk",
    ],
    ids=["first", "second", "left"],
)
@pytest.mark.parametrize("kind", ["isolated", "legacy"])
def test_a_sub_interpreter_is_refused(body: str, kind: str) -> None:
    program = f"{_START}\n{body}\ncodex_auth_sdk.EphemeralStorage()\n"
    arguments = [sys.executable, "-c", program, kind]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    # Newer versions of CPython refuse isolated ones before we do.
    assert ended.stdout.count("interpreters") == 1, ended.stdout
