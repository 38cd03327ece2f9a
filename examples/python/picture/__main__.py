"""Draws what twelve programs do to one login, with this library and without it.

    python examples/python/picture BUILT SVG

BUILT is the folder of the programs that Cargo has built, SVG the file to write. On one side run the
programs of the demo, on the other ones that refresh by themselves (`alone.py`), one run after the
other, each for 20 seconds at a test issuer of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from drawing import picture
from runs import ACCESS_TOKEN_LIFE_S, Run, run

EXAMPLES = Path(__file__).resolve().parents[2]
PROGRAMS = 12
SECONDS = 20

TITLE = (
    f"Twelve programs share one login whose access token ends every {ACCESS_TOKEN_LIFE_S} seconds"
)
NOTES = (
    "Left: on a 401 a program reads auth.json again, before and after it redeems the refresh "
    "token.",
    "Right: the programs of “make demo”. Both at its test issuer, which ends a login whose refresh "
    "token is presented twice (RFC 9700).",
)


def alone(issuer: Path) -> Run:
    command = [sys.executable, str(Path(__file__).with_name("alone.py"))]
    return run(issuer, {f"python-{number}": command for number in range(PROGRAMS)}, SECONDS)


def shared(issuer: Path) -> Run:
    commands = {
        "rust": [str(issuer.with_name("frontend"))],
        "python": [sys.executable, str(EXAMPLES / "python/frontend.py")],
        "node": ["node", str(EXAMPLES / "node/frontend.mjs")],
    }
    programs = {
        f"{language}-{number}": command
        for language, command in commands.items()
        for number in range(PROGRAMS // len(commands))
    }
    return run(issuer, programs, SECONDS)


def main(built: str, svg: str) -> None:
    issuer = Path(built) / "test-issuer"
    runs = {"Each refreshes by itself": alone(issuer), "Each uses codex-auth-sdk": shared(issuer)}
    for head, made in runs.items():
        for lane in made.lanes:
            if lane.errors or lane.started is None:
                sys.exit(f"{head}: {lane.name} did not work: {lane.errors}")
    Path(svg).write_text(picture(TITLE, runs, NOTES), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
