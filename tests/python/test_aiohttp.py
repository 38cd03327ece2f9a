"""What the middleware of aiohttp does beyond the shared cases: bodies, connections, redirects."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("aiohttp")

import aiohttp

from codex_auth_sdk import (
    MANAGED_API_KEY,
    AsyncAuthManager,
    AuthManager,
    RefreshTokenExpired,
    aiohttp_middleware,
)
from http_support import EchoServer, options, seen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support import Realm


@contextlib.asynccontextmanager
async def signed_in(
    realm: Realm, home: Path, **more: Any
) -> AsyncIterator[tuple[AsyncAuthManager, aiohttp.ClientSession]]:
    """A manager, and a session with its middleware that has one connection to each host."""
    async with await AsyncAuthManager.open(**options(realm, home), **more) as manager:
        connector = aiohttp.TCPConnector(limit_per_host=1)
        async with aiohttp.ClientSession(
            middlewares=[aiohttp_middleware(manager)], connector=connector
        ) as session:
            yield manager, session


async def status(session: aiohttp.ClientSession, url: str, **sent: Any) -> int:
    async with session.post(url, **sent) as response:
        await response.read()
        return response.status


def test_a_connection_is_free_for_the_repetition(realm: Realm, home: Path) -> None:
    async def main() -> None:
        async with signed_in(realm, home) as (_, session):
            realm.call("kill_access")
            assert await status(session, f"{realm.url}/api/echo") == 200

    asyncio.run(main())


def test_a_connection_is_free_after_an_error_whose_response_can_be_read(
    realm: Realm, home: Path
) -> None:
    async def main() -> None:
        async with signed_in(realm, home) as (_, session):
            realm.call("kill_access")
            realm.call("expire_refresh", token="a0")
            with pytest.raises(RefreshTokenExpired) as caught:
                await status(session, f"{realm.url}/api/echo")
            response = caught.value.response
            assert isinstance(response, aiohttp.ClientResponse)
            assert "token_revoked" in await response.text()
            own = {"Authorization": "Bearer own"}
            assert await status(session, f"{realm.url}/api/echo", headers=own) == 401

    asyncio.run(main())


def test_a_cancelled_request_ends_the_waiting_not_the_refresh_and_frees_its_connection(
    realm: Realm, home: Path
) -> None:
    async def main() -> None:
        async with signed_in(realm, home) as (_, session):
            realm.call("kill_access")
            realm.call("hold", at="reply")
            request = asyncio.create_task(status(session, f"{realm.url}/api/echo"))
            await asyncio.to_thread(realm.wait, held=1)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            realm.call("release")
            assert await status(session, f"{realm.url}/api/echo") == 200

    asyncio.run(main())
    assert realm.call("stats")["requests"] == 1


def test_a_file_is_sent_again_from_where_it_began(realm: Realm, home: Path) -> None:
    async def main() -> None:
        file = io.BytesIO(b"not this, but this")
        file.seek(len("not this, "))
        async with signed_in(realm, home) as (_, session):
            realm.call("kill_access")
            async with session.post(f"{realm.url}/api/echo", data=file) as response:
                assert (response.status, await response.text()) == (200, "but this")

    asyncio.run(main())


def test_a_form_is_sent_again_unless_a_part_of_it_is_a_stream(realm: Realm, home: Path) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"a part"

    async def main() -> list[int]:
        statuses: list[int] = []
        async with signed_in(realm, home) as (_, session):
            for part in (io.BytesIO(b"a part"), stream()):
                realm.call("kill_access")
                with aiohttp.MultipartWriter() as form:
                    form.append(part)
                statuses.append(await status(session, f"{realm.url}/api/echo", data=form))
        return statuses

    assert asyncio.run(main()) == [200, 401]
    part = {"body": {"$contains": "a part"}}
    assert seen(realm, [part, part, part], requests=2) == []


class Rejecting:
    """A server that rejects the first request before it has read the body of it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self._rejected = False
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not self._rejected:
                self._rejected = True
                writer.write(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
                return
            if b"100-continue" in head:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.bodies.append(await reader.readexactly(length))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("expect100", [False, True])
def test_a_body_that_a_401_has_interrupted_is_sent_again_as_a_whole(
    expect100: bool, realm: Realm, home: Path
) -> None:
    body = bytes(range(256)) * 40_000

    async def main() -> list[bytes]:
        server = Rejecting()
        async with server as there:
            settings = realm.options(codex_home=home, allowed_origins=[there])
            with AuthManager(**settings) as manager:
                middlewares = [aiohttp_middleware(manager)]
                async with aiohttp.ClientSession(middlewares=middlewares) as session:
                    data = io.BytesIO(body)
                    assert await status(session, there, data=data, expect100=expect100) == 200
        return server.bodies

    assert asyncio.run(main()) == [body]


def test_the_handshake_of_a_web_socket_is_authorized_and_recovered(
    realm: Realm, home: Path
) -> None:
    async def main() -> None:
        async with signed_in(realm, home) as (_, session):
            realm.call("kill_access")
            url = f"{realm.url}/api/socket".replace("http:", "ws:")
            async with session.ws_connect(url) as socket:
                await socket.send_str("hello")
                assert await socket.receive_str() == "hello"

    asyncio.run(main())
    assert realm.call("stats")["requests"] == 1


def test_what_a_session_has_for_all_requests_is_authorized_too(realm: Realm, home: Path) -> None:
    async def main() -> None:
        async with await AsyncAuthManager.open(**options(realm, home)) as manager:
            headers = {"Authorization": f"Bearer {MANAGED_API_KEY}"}
            async with aiohttp.ClientSession(
                f"{realm.url}/api/", headers=headers, raise_for_status=True
            ) as session:
                realm.call("kill_access")
                async with session.get("echo", middlewares=[aiohttp_middleware(manager)]):
                    pass

    asyncio.run(main())
    assert realm.call("stats")["requests"] == 1


def test_g9_neither_a_response_nor_an_error_shows_the_token(realm: Realm, home: Path) -> None:
    shown: list[object] = []

    async def enclose(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        shown.append(dict(request.headers))
        return response

    async def main() -> None:
        async with signed_in(realm, home) as (manager, session):
            enclosed = (enclose, aiohttp_middleware(manager))
            url = f"{realm.url}/api/redirect?to=/api/forbidden"
            async with session.get(url, middlewares=enclosed) as response:
                shown.extend([response, response.request_info, response.history[0].request_info])
                with pytest.raises(aiohttp.ClientResponseError) as caught:
                    response.raise_for_status()
                shown.append(caught.value)

    asyncio.run(main())
    assert len(shown) == 6
    assert "Bearer" not in repr(shown)
    sent = {"authorization": "access:a0"}
    assert seen(realm, [sent, sent], requests=0) == []


def test_a_request_that_an_enclosing_middleware_sends_again_gets_the_credential_again(
    realm: Realm, home: Path
) -> None:
    async def twice(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        async with await handler(request):
            return await handler(request)

    async def main() -> None:
        async with signed_in(realm, home) as (manager, _):
            middlewares = (twice, aiohttp_middleware(manager))
            async with aiohttp.ClientSession(middlewares=middlewares) as session:
                assert await status(session, f"{realm.url}/api/echo") == 200

    asyncio.run(main())
    assert seen(realm, [{"authorization": "access:a0"}] * 2, requests=0) == []


def test_a_redirect_that_names_a_user_is_left_alone(home: Path) -> None:
    async def main(there: str) -> None:
        with AuthManager(codex_home=home, allowed_origins=[f"http://{there}"]) as manager:
            middlewares = [aiohttp_middleware(manager)]
            async with aiohttp.ClientSession(middlewares=middlewares) as session:
                await session.get(f"http://{there}/")

    with EchoServer() as server:
        there = f"127.0.0.1:{server.server_port}"
        server.location = f"http://user:password@{there}/x"
        asyncio.run(main(there))
        server.shutdown()
    assert server.asked[0]["Authorization"].startswith("Basic ")
    assert "ChatGPT-Account-ID" not in server.asked[0]


def test_g9_what_comes_back_from_another_origin_gets_no_credential_at_a_second_try_either(
    realm: Realm, home: Path
) -> None:
    """A session sends a request anew whose connection breaks before the answer."""
    headers: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        headers.append(head)
        port = head.partition(b"Host: ")[2].partition(b"\r\n")[0].partition(b":")[2]
        redirect = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://%b:%b%b\r\n\r\n"
        answers = [
            redirect % (b"localhost", port, b"/there"),
            redirect % (b"127.0.0.1", port, b"/back"),
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ]
        writer.write(answers[len(headers) - 1])
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        there = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = realm.options(codex_home=home, allowed_origins=[there])
        with AuthManager(**settings) as manager:
            middlewares = [aiohttp_middleware(manager)]
            async with (
                aiohttp.ClientSession(middlewares=middlewares) as session,
                session.get(there) as response,
            ):
                assert response.status == 200
        server.close()

    asyncio.run(main())
    assert [b"Bearer" in head for head in headers] == [True, False, False, False]


def test_nothing_is_kept_of_requests_that_were_redirected(realm: Realm, home: Path) -> None:
    async def main() -> None:
        async with await AsyncAuthManager.open(**options(realm, home)) as manager:
            middleware: Any = aiohttp_middleware(manager)
            async with aiohttp.ClientSession(middlewares=[middleware]) as session:
                url = f"{realm.url}/api/redirect?to=/api/echo"
                async with session.get(url, allow_redirects=False) as response:
                    assert response.status == 307
                assert await status(session, url) == 200
                assert middleware._redirected
                del response
                gc.collect()
                assert not middleware._redirected

    asyncio.run(main())
