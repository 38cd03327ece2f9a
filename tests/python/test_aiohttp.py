"""What the middleware of aiohttp does beyond the shared cases: bodies, connections, redirects."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import traceback
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
from support import WATCHDOG_S

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from support import Issuer, Realm


@contextlib.asynccontextmanager
async def signed_in(
    realm: Realm, home: Path, *origins: str, **settings: Any
) -> AsyncGenerator[tuple[AsyncAuthManager, aiohttp.ClientSession]]:
    """A manager, and a session with its middleware that has one connection to each host."""
    allowed = [realm.origin, *origins]
    async with (
        await AsyncAuthManager.open(
            **realm.options(codex_home=home, allowed_origins=allowed)
        ) as manager,
        aiohttp.ClientSession(
            middlewares=[aiohttp_middleware(manager)],
            connector=aiohttp.TCPConnector(limit_per_host=1),
            timeout=aiohttp.ClientTimeout(WATCHDOG_S),
            **settings,
        ) as session,
    ):
        yield manager, session


async def status(session: aiohttp.ClientSession, url: str, **sent: Any) -> int:
    async with session.post(url, **sent) as response:
        await response.read()
        return response.status


class Rejecting:
    """A server that rejects the first request, whose body it does not read.

    The second half of its answer comes once `until` is over, else never. Then it takes requests.
    """

    def __init__(self, until: Callable[[], Awaitable[object]] | None = None) -> None:
        self.bodies: list[bytes] = []
        self._end = asyncio.Event()
        self._until = until or self._end.wait
        self._tasks: list[asyncio.Task[None] | None] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._end.set()
        self._server.close()
        await asyncio.wait([task for task in self._tasks if task is not None])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.append(asyncio.current_task())
        with contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            if len(self._tasks) == 1:
                writer.write(b"HTTP/1.1 401 No\r\nContent-Length: 4\r\n\r\nno")
                await self._until()
                writer.write(b"pe")
                return
            if b"100-continue" in head:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            self.bodies.append(await reader.readexactly(length))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("expect100", [False, True])
def test_the_connection_and_the_body_of_a_401_are_given_up_for_the_repetition(
    expect100: bool, realm: Realm, home: Path
) -> None:
    body = bytes(range(256)) * 40_000

    async def main() -> list[bytes]:
        server = Rejecting()
        async with server as there, signed_in(realm, home, there) as (_, session):
            data = io.BytesIO(body)
            assert await status(session, there, data=data, expect100=expect100) == 200
        return server.bodies

    assert asyncio.run(main()) == [body]


def test_the_response_of_an_error_has_been_read(realm: Realm, home: Path) -> None:
    asked = asyncio.Event()

    class Response(aiohttp.ClientResponse):
        async def read(self) -> bytes:
            asked.set()
            return await super().read()

    async def main() -> None:
        realm.call("expire_refresh", token="a0")
        async with Rejecting(until=asked.wait) as there:
            async with signed_in(realm, home, there, response_class=Response) as (_, session):
                with pytest.raises(RefreshTokenExpired) as caught:
                    await status(session, there)
            response = caught.value.response
            assert isinstance(response, aiohttp.ClientResponse)
            assert (response.status, await response.text()) == (401, "nope")

    asyncio.run(main())


def test_a_cancelled_request_ends_the_waiting_not_the_refresh_and_frees_its_connection(
    realm: Realm, home: Path
) -> None:
    async def main() -> None:
        async with Rejecting() as there, signed_in(realm, home, there) as (_, session):
            realm.call("hold", at="reply")
            request = asyncio.create_task(status(session, there))
            await asyncio.to_thread(realm.wait, held=1)
            request.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await request
            realm.call("release")
            assert await status(session, there) == 200
            # It has kept all variables until here.
            del caught

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


def test_g9_the_frames_of_a_request_that_fails_show_no_token(realm: Realm, home: Path) -> None:
    async def main() -> None:
        async with signed_in(realm, home) as (_, session):
            with pytest.raises(asyncio.TimeoutError) as caught:
                await status(session, f"{realm.url}/api/hang", timeout=aiohttp.ClientTimeout(0.2))
        frames = [frame for frame, _ in traceback.walk_tb(caught.tb)]
        ours = [frame for frame in frames if "codex_auth_sdk" in frame.f_code.co_filename]
        assert ours
        shown = [
            [value, vars(value).get("headers")]
            if isinstance(value, aiohttp.ClientRequest)
            else value
            for frame in ours
            for value in frame.f_locals.values()
        ]
        assert "Bearer" not in repr(shown)

    asyncio.run(main())


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


def test_g3_what_a_request_is_redirected_to_is_asked_for_as_the_same_login(
    issuer: Issuer, tmp_path: Path
) -> None:
    realm = issuer.realm(logins={"a": {}, "b": {}})
    (tmp_path / "auth.json").write_text(realm.logins["a"]["text"])

    async def main() -> None:
        async with signed_in(realm, tmp_path) as (manager, session):

            async def switch(
                request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
            ) -> aiohttp.ClientResponse:
                (tmp_path / "auth.json").write_text(realm.logins["b"]["text"])
                assert await manager.reload() == (request.url.name == "redirect")
                return await handler(request)

            middlewares = (aiohttp_middleware(manager), switch)
            url = f"{realm.url}/api/redirect?to=/api/echo"
            async with session.get(url, middlewares=middlewares) as response:
                assert response.status == 200

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
