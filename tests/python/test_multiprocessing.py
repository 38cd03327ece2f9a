"""Pools of processes, however they start: they share one login."""

from __future__ import annotations

import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from chaos import request, some_call
from codex_auth_sdk import AuthManager
from support import Realm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chaos import World

    Worlds = Callable[[int], Iterator[World]]

WORKERS = 4
REQUESTS = 40

# What a worker uses.
_POOLED: list[tuple[Realm, AuthManager]] = []


def _open(port: int, name: str, options: dict[str, Any]) -> None:
    _POOLED[:] = [(Realm(port, name, {}), AuthManager(**options))]


def _play(seed: float) -> None:
    realm, manager = _POOLED[0]
    chance = random.Random(seed)
    for _ in range(3):
        some_call(realm, manager, chance)()


def _request(_: int) -> bool:
    return request(*_POOLED[0])


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_pool_of_workers_loses_nothing(worlds: Worlds, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"there is no {method} here")
    for world in worlds(1):
        arguments = (world.realm.port, world.realm.name, world.options())
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(WORKERS, context, _open, arguments) as pool:
            playing = [pool.submit(_play, world.random.random()) for _ in range(REQUESTS)]
            for played in playing:
                played.result(60)
                world.kill(8, world.random)
            asking = [pool.submit(_request, number) for number in range(WORKERS)]
            assert all(asked.result(60) for asked in asking), world.stats()


def test_a_pool_that_is_forked_in_the_middle_of_an_exchange(worlds: Worlds) -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("there is no fork here")
    for world in worlds(2):
        manager = AuthManager(**world.options())
        _POOLED[:] = [(world.realm, manager)]
        world.realm.call("hold", at="reply")
        with ThreadPoolExecutor(1) as threads:
            leader = threads.submit(manager.fresh_auth)
            world.realm.wait(held=1)
            with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork")) as pool:
                asking = [pool.submit(_request, number) for number in range(WORKERS)]
                world.realm.call("release")
                assert all(asked.result(60) for asked in asking), world.stats()
            assert leader.result(60) is not None
        assert world.stats()["requests"] == 1
