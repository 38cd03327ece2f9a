"""Threads: many of them share managers, and some are interrupted wherever they are."""

from __future__ import annotations

import ctypes
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from chaos import World, close, request, some_call
from codex_auth_sdk import AuthManager

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    Worlds = Callable[[int], Iterator[World]]

THREADS = 64
CALLS = 8


class Interrupted(BaseException):
    """What interrupts a thread."""


def end(world: World, managers: list[AuthManager]) -> None:
    """Whatever came before, every manager gets through."""
    for manager in managers:
        # A token that was killed while its grant was on the way is a reason to ask once more.
        close(manager)
    for manager in managers:
        assert request(world.realm, manager), world.stats()
        close(manager)


@pytest.mark.parametrize("count", [1, 4])
def test_64_threads_use_every_method_and_lose_nothing(worlds: Worlds, count: int) -> None:
    for world in worlds(1):
        managers = [AuthManager(**world.options()) for _ in range(count)]
        start = threading.Barrier(THREADS)

        def work(
            number: int,
            chance: random.Random,
            world: World = world,
            managers: list[AuthManager] = managers,
            start: threading.Barrier = start,
        ) -> None:
            start.wait(60)
            for _ in range(CALLS):
                some_call(world.realm, managers[number % len(managers)], chance)()
                world.kill(50, chance)

        with ThreadPoolExecutor(THREADS) as threads:
            done = [threads.submit(work, number, world.chance()) for number in range(THREADS)]
        for thread in done:
            thread.result()
        end(world, managers)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_threads_that_are_interrupted_lose_nothing(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    unexpected: list[object] = []

    def note(ended: threading.ExceptHookArgs) -> None:
        if not issubclass(ended.exc_type, Interrupted):
            unexpected.append(ended.exc_value)

    monkeypatch.setattr(threading, "excepthook", note)
    for world in worlds(2):
        manager = AuthManager(**world.options())
        over = threading.Event()

        def work(
            chance: random.Random,
            world: World = world,
            manager: AuthManager = manager,
            over: threading.Event = over,
        ) -> None:
            while not over.is_set():
                some_call(world.realm, manager, chance)()
                world.kill(50, chance)

        threads = [threading.Thread(target=work, args=(world.chance(),)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in world.random.sample(threads, 12):
            assert thread.ident is not None
            interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc
            assert interrupt(ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted)) == 1
            thread.join(60)
            assert not thread.is_alive()
        over.set()
        for thread in threads:
            thread.join(60)
        assert unexpected == []
        end(world, [manager])


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="there are no such signals here")
def test_calls_that_signals_interrupt_lose_nothing(worlds: Worlds) -> None:
    is_armed = False

    def interrupt(*_: object) -> None:
        if is_armed:
            raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()
    interrupted = 0
    for world in worlds(3):
        manager = AuthManager(**world.options())
        over = threading.Event()

        def nag(chance: random.Random, over: threading.Event = over) -> None:
            while not over.wait(chance.random() / 200):
                signal.pthread_kill(main, signal.SIGUSR1)

        nagging = threading.Thread(target=nag, args=(world.chance(),))
        nagging.start()
        for _ in range(40):
            call = some_call(world.realm, manager, world.random)
            try:
                is_armed = True
                try:
                    call()
                finally:
                    is_armed = False
            except Interrupted:
                interrupted += 1
            world.kill(10, world.random)
        over.set()
        nagging.join(60)
        end(world, [manager])
    signal.signal(signal.SIGUSR1, before)
    assert interrupted > 0
