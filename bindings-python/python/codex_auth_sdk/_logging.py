"""Passes the records that the core traces on to `logging`."""

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


_warned: set[str] = set()


def warn_once(text: str) -> None:
    """Logs a warning of an integration, unless it was logged before."""
    if text not in _warned:
        _warned.add(text)
        _LOGGER.warning("%s", text)


def enable_logging() -> None:
    """Logs what this package does to `logging.getLogger("codex_auth_sdk")`, from now on.

    Failures are records of the level WARNING or ERROR, with an occasional DEBUG. Each step of a
    recovery or refresh is a record of the level INFO, at the end of the step:

    - `codex_auth.recovery`: a call of `recover_from_unauthorized`.
    - `codex_auth.refresh`: a refresh, once for all callers that share it. Its `purpose` is
      `rejected` (after a 401), `proactive` (before the expiry) or `repair`.
    - `codex_auth.lock_wait`: the wait of a refresh for the refresh lock.
    - `codex_auth.redemption`: one request to the token endpoint.
    - `codex_auth.commit`: one save of refreshed tokens.

    Each step has an `outcome`, which is the `code` of the error if the step failed, and a
    `duration` in seconds. They are part of the message, and of the dict that the record has as its
    attribute `codex_auth`; its key `target` names the part of the package. No record contains a
    secret or an account.

    Handlers are called in a separate thread, in order and without much delay. While they are slow,
    at most 1024 records wait, and a warning says how many were dropped. The exit of the interpreter
    logs the remaining records. A forked child logs like its parent. Logging cannot be ended:
    disable the logger, or set its level. A second call changes nothing.

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
