"""The decision of `recover_from_unauthorized`."""

from enum import Enum


class UnauthorizedRecoveryDecision(Enum):
    """What to do about a 401 response, as `recover_from_unauthorized` decides."""

    RETRY = "retry"
    """Send the request again with the snapshot that `auth()` of the manager now returns."""

    GIVE_UP = "give_up"
    """The 401 is final; `give_up_reason` of the recovery says why."""


UnauthorizedRecoveryDecision.__module__ = "codex_auth_sdk"
