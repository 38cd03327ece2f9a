"""What the package traces, as records of `logging`."""

import logging

from codex_auth_sdk import _native

_LOGGER = logging.getLogger("codex_auth_sdk")

_LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": 5,
}


def enable_logging() -> None:
    """Logs from now on what this package does, to `logging.getLogger("codex_auth_sdk")`.

    What goes wrong is a record of the level WARNING or ERROR, with an occasional DEBUG. What the
    package does is INFO, one record for each step, at its end:

    - `codex_auth.recovery`: a call of `recover_from_unauthorized`.
    - `codex_auth.refresh`: a refresh, one for all who wait for it; `purpose` is `rejected`,
      `proactive` or `repair`.
    - `codex_auth.lock_wait`: in a refresh, the way to its turn.
    - `codex_auth.redemption`: one request to the token endpoint.
    - `codex_auth.commit`: a save of refreshed tokens.

    Each has an `outcome`, which is the `code` of an error if it failed, and a `duration` in
    seconds. All this is in the message, and as a dict in the record's attribute `codex_auth`,
    together with `target`, the part of the package that it comes from. No secrets, and no account.

    Handlers are called in a thread of their own, in order and soon after; where they are slow, at
    most 1024 records wait, and a warning tells how many are missing. What is left at the exit of
    the interpreter is logged then. A forked child logs as its parent does. There is no way to end
    it: disable the logger, or set its level. Calling it again changes nothing.

    Example:
        logging.basicConfig()
        logging.getLogger("codex_auth_sdk").setLevel(logging.INFO)
        codex_auth_sdk.enable_logging()

    """
    _native.deliver_log(_log)


def _log(
    level: str, target: str, message: str, fields: dict[str, str], duration: float | None
) -> None:
    number = _LEVELS[level]
    if not _LOGGER.isEnabledFor(number):
        return
    said: dict[str, object] = {**fields}
    if duration is not None:
        said["duration"] = round(duration, 6)
    text = " ".join([message, *(f"{name}={value}" for name, value in said.items())])
    _LOGGER.log(number, "%s", text, extra={"codex_auth": {"target": target, **said}})


enable_logging.__module__ = "codex_auth_sdk"
