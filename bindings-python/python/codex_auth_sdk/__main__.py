"""The command `codex-auth-sdk`, also by `python -m codex_auth_sdk`."""

import sys

from codex_auth_sdk._native import run_command


def main() -> int:
    """Runs the command with the arguments of this process, and returns its exit code."""
    return run_command(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
