"""A web service whose users each have a login of their own, in PostgreSQL, for all its replicas.

A user signs in by a code (`POST /login`, then `GET /login?sign_in=ID` at any replica until that is
done), calls the API at any replica (`GET /me`), and signs out (`DELETE /login`). The header
`X-User` names the user: a proxy that knows its users sets it, and no other client may reach the
replicas.
Usage: many_users.py PORT STORE URL [ISSUER [ALLOWED_ORIGIN...]]; port 0 is any free one.
"""

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import sys
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Annotated

import httpx
import uvicorn
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse

import codex_auth_sdk
from codex_auth_sdk import AsyncAuthManager, AsyncDeviceLogin, CodexAuthError, HttpxAuth

port, store, url, *more = sys.argv[1:]
issuer, origins = next(iter(more), None), more[1:]

app = FastAPI()
User = Annotated[str, Header(alias="X-User", min_length=1)]
# Without cookies: one that the API sets for a user would be sent for all others.
client = httpx.AsyncClient(cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])))
# The sign-ins for which this replica waits.
sign_ins: dict[str, tuple[AsyncDeviceLogin, asyncio.Task[None]]] = {}


@functools.lru_cache(maxsize=1000)
def manager_of(user: str) -> AsyncAuthManager:
    """Returns the manager of the user's login, which reads it at the first use."""
    manager = AsyncAuthManager.open_unread(
        store=store, login=user, issuer=issuer, allowed_origins=origins
    )
    manager.follow_store()  # It adopts what other replicas store, until it is garbage.
    return manager


@app.get("/me")
async def call_api(user: User) -> Response:
    reply = await client.get(url, auth=HttpxAuth(manager_of(user)))
    return Response(reply.content, reply.status_code, media_type=reply.headers.get("Content-Type"))


@app.post("/login")
async def begin(user: User) -> dict[str, str | None]:
    login = await manager_of(user).login_with_device_code()
    cancel(user)
    sign_ins[user] = login, asyncio.create_task(finish(user, login))
    code = {"user_code": login.user_code, "verification_uri": login.verification_uri}
    return {"sign_in": login.id, **code}


@app.get("/login")
async def state(user: User, sign_in: str | None = None) -> str:
    manager = manager_of(user)
    if sign_in and user not in sign_ins:
        # Another replica has begun it, and may have ended. If the sign-in has, it may be done.
        with contextlib.suppress(codex_auth_sdk.LoginCancelled):
            login = await manager.resume_login_with_device_code(sign_in)
            sign_ins[user] = login, asyncio.create_task(finish(user, login))
    await manager.reload()
    return "pending" if user in sign_ins else "signed_in" if manager.auth() else "signed_out"


@app.delete("/login")
async def sign_out(user: User) -> None:
    cancel(user)
    await manager_of(user).logout(any_account=True)


@app.exception_handler(CodexAuthError)
async def fail(_: Request, error: CodexAuthError) -> JSONResponse:
    """Tells the user the kind of error only: the message is for those who run the service."""
    if isinstance(error, (codex_auth_sdk.LoginRequired, codex_auth_sdk.RefreshTokenError)):
        return JSONResponse({"error": error.code}, 401)
    logging.warning("%s", error)
    return JSONResponse({"error": error.code}, 503)


async def finish(user: str, login: AsyncDeviceLogin) -> None:
    """Waits for the user. If this replica ends first, another one goes on."""
    try:
        await login.wait()
    except CodexAuthError as error:
        logging.warning("a sign-in failed: %s", error)
    finally:
        if user in sign_ins and sign_ins[user][0] is login:
            del sign_ins[user]


def cancel(user: str) -> None:
    if user in sign_ins:
        earlier, _ = sign_ins.pop(user)
        earlier.cancel()


codex_auth_sdk.enable_logging()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Exit hooks save new tokens.
listener = socket.create_server(("127.0.0.1", int(port)))
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
