"""The keyword options of managers and sign-ins, for type checkers and editors.

The docstring of an option is what that of `AuthManager` says of it: `scripts/stub-docs --write`
puts it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from os import PathLike

    from codex_auth_sdk._native import EphemeralStorage
    from codex_auth_sdk._store import CustomStore


class ManagerOptions(TypedDict, total=False):
    """The keyword options of managers, as `AuthManager` documents them.

    Durations are seconds, as a number, or a `timedelta`.
    """

    codex_home: str | PathLike[str] | None
    """The folder of the login. Default: `$CODEX_HOME`, else `~/.codex`."""
    store: (
        Literal["codex", "file", "keyring", "auto", "encrypted", "ephemeral", "agent"]
        | str
        | EphemeralStorage
        | CustomStore
        | None
    )
    """The place of the login. `codex`, the default, is the store that the Codex CLI uses:
    `$CODEX_ACCESS_TOKEN` if it is set, else the store that the CLI's `config.toml` names. Other
    names are `file`, `keyring`, `auto` (the keyring, or a file if there is no keyring),
    `encrypted`, `ephemeral` (in memory), `postgres://HOST/DATABASE?login=NAME`, a row of a
    database that any number of hosts share, and `agent`: another program, which has the refresh
    token and hands out access tokens (`agent:unix:/path`, `agent:http://127.0.0.1:PORT`, or with
    `#NAME`; default: `$CODEX_AUTH_AGENT`, else the socket of this user's agent). An
    `EphemeralStorage`, or an object with the methods of `CustomStore`, is a store too.
    """
    login: str | None
    """The name of the login in a database. Default: what the URL names."""
    store_key: str | None
    """The keys that encrypt a login in a database, each the Base64 of 32 bytes,
    separated by commas; the first one encrypts. `plaintext` in the place of a key is the way to
    have no encryption. Default: `$CODEX_AUTH_STORE_KEY`; without a key such a store is an error.
    """
    refresh: Literal["auto", "never"] | None
    """`auto`, the default, or `never`. With `never` the manager redeems no refresh token
    and only adopts what other programs store.
    """
    account_id: str | None
    """The id of the only workspace whose login this manager hands out. Default: any."""
    refresh_window: float | timedelta | None
    """How long before its expiry an access token is refreshed. Default: 10
    minutes, or half the token's lifetime if that is less.
    """
    winner_wait: float | timedelta | None
    """After the server has rejected a refresh token, how long the manager waits for
    the save of another program that may have redeemed the token; or how long for the program that
    renews a login which this manager may not refresh. Default: 5 s.
    """
    refresh_deadline: float | timedelta | None
    """How long one refresh may take once it has the refresh lock. Default: 45 s."""
    request_timeout: float | timedelta | None
    """How long one request to the token endpoint may take. Default: 30 s."""
    lock_timeout: float | timedelta | None
    """How long a refresh waits for the refresh lock while another process holds it.
    It must exceed `refresh_deadline`. Default: 60 s.
    """
    token_url: str | None
    """The token endpoint for refreshes. Default: `$CODEX_REFRESH_TOKEN_URL_OVERRIDE`,
    else `/oauth/token` of the issuer. This and the next two must be `https`, or `http` on
    loopback.
    """
    revoke_url: str | None
    """The revocation endpoint (RFC 7009). Default: `$CODEX_REVOKE_TOKEN_URL_OVERRIDE`,
    else `/oauth/revoke` beside the token endpoint.
    """
    issuer: str | None
    """The authorization server. Default: `https://auth.openai.com`."""
    client_id: str | None
    """The OAuth client of new logins, and of stored logins whose record names none.
    Default: `$CODEX_APP_SERVER_LOGIN_CLIENT_ID`, else the Codex CLI's client.
    """
    originator: str | None
    """The name of the calling program, which ChatGPT requests carry in the header
    `originator`. Default: `$CODEX_INTERNAL_ORIGINATOR_OVERRIDE`, else `codex_auth_sdk`.
    """
    user_agent: str | None
    """The `User-Agent` of requests to the authorization server. Default: the
    originator.
    """
    proxy: str | None
    """The proxy for `https` requests to the authorization server, by HTTP or SOCKS5, such
    as `http://user:password@host:port` or `socks5h://host:port`. Default: the proxy that the
    environment or the system names (`$HTTPS_PROXY`, `$ALL_PROXY`), except for hosts in
    `$NO_PROXY` and on loopback; one that cannot be used is an error. A proxy that is given here
    is used for all hosts.
    """
    token_encoding: Literal["json", "form"] | None
    """The encoding of token requests, `json` (default) or `form`."""
    enable_codex_api_key_env: bool | None
    """Whether `$CODEX_API_KEY`, if it is set, replaces the stored login.
    This needs the store `codex`. Default: `False`.
    """
    allowed_origins: Sequence[str] | None
    """Origins (`https://host` or `https://host:port`) to which the integrations
    with HTTP clients may send the credential, as a list. The origin of the ChatGPT backend for a
    ChatGPT login, and that of the OpenAI API for an API key, are always allowed.
    """


class DeviceLoginOptions(TypedDict, total=False):
    """The keyword options of a sign-in with a device code.

    They are as `AuthManager.login_with_browser` documents them.
    """

    allowed_workspaces: Sequence[str] | None
    """The ids of the workspaces whose logins are accepted. Default: any.
    Name them where it is known whose login is wanted: then no person who gets hold of the
    authorization URL can sign this program in to an account of his own.
    """
    revoke_replaced: bool | None
    """Whether to revoke the replaced login once the new one is saved. Servers
    may end all sessions of the account with it, the new one too. Default: `False`.
    """
    timeout: float | timedelta | None
    """How long to wait for the user, in seconds or as a `timedelta`. Default: 10
    minutes.
    """
    protocol: Literal["codex", "standard"] | None
    """`codex`, the default, for what Codex's authorization server understands, or
    `standard` for OpenID Connect at the endpoints that the issuer publishes.
    """
    scope: str | None
    """The requested scope. Default: the usual one of the protocol."""
    id_token_validation: Literal["where_published", "required", "off"] | None
    """Whether to validate the id token's signature and claims:
    `where_published` (default: if the issuer publishes its keys), `required` or `off`.
    """


class BrowserLoginOptions(DeviceLoginOptions, total=False):
    """The keyword options of a sign-in with a browser.

    They are as `AuthManager.login_with_browser` documents them.
    """

    ports: Sequence[int] | None
    """The ports of this machine that the browser may be redirected to; the first free
    one is used. 0 is any free port. Default: 1455 and 1457, which the Codex CLI's client has
    registered. The redirect names 127.0.0.1, and `localhost` with the protocol `standard`;
    then the port must be free on ::1 too.
    """
    manual: bool | None
    """Whether the browser runs on another machine. Then no port is opened, and the
    user pastes the address at which the browser arrives, for `complete`. Default: `False`.
    """
