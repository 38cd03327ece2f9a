"""What to do about a 401."""

from enum import Enum


class UnauthorizedRecoveryDecision(Enum):
    """What to do about a 401, as `recover_from_unauthorized` decides."""

    RETRY = "retry"
    """Send the request again with what `auth()` of the manager returns now."""

    GIVE_UP = "give_up"
    """Hand the 401 to the user; `give_up_reason` of the recovery says why."""


UnauthorizedRecoveryDecision.__module__ = "codex_auth_sdk"
