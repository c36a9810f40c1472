"""One set of threads for several owners: each gets its turn, and what ends one touches no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.runtime import workers
from migrate.runtime.interrupts import stopped_by
from migrate.runtime.shared_workers import SharedWorkers
from migrate.runtime.workers import result_of

LONG = 60.0  # seconds that no condition takes


def nothing() -> None:
    pass


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def opened() -> Iterator[threading.Event]:
    """What jobs wait for that are to stay under way."""
    event = threading.Event()
    yield event
    event.set()


def close(pool: SharedWorkers) -> None:
    pool.close()
    until(lambda: not any(thread.name.startswith(f"{pool._name}-") for thread in threading.enumerate()))


def test_a_tiny_owner_does_not_wait_for_the_long_jobs_of_a_huge_one(opened: threading.Event) -> None:
    pool = SharedWorkers(8, "tiny")
    with pool.share(100, stop=nothing) as huge:
        begun = threading.Semaphore(0)

        def long() -> None:
            begun.release()
            opened.wait(LONG)

        jobs = [huge.submit(long) for _ in range(50)]
        for _ in range(7):
            assert begun.acquire(timeout=LONG)
        with pool.share(100, stop=nothing) as tiny:
            assert tiny.submit(lambda: 5).result(LONG) == 5
        assert sum(job.running() for job in jobs) == 7
        opened.set()
    assert all(job.done() for job in jobs)
    close(pool)


def test_owners_take_turns_job_by_job(opened: threading.Event) -> None:
    pool, order = SharedWorkers(1, "turns"), list[str]()
    with pool.share(9, stop=nothing) as first, pool.share(9, stop=nothing) as second:
        first.submit(opened.wait, LONG)
        for number in range(3):
            first.submit(order.append, f"first {number}")
        for number in range(3):
            second.submit(order.append, f"second {number}")
        opened.set()
    assert [word for word in order if word.startswith("first")] == ["first 0", "first 1", "first 2"]
    assert [word.split()[0] for word in order] in (["first", "second"] * 3, ["second", "first"] * 3)
    close(pool)


def test_an_owner_that_breaks_off_stops_its_own_jobs_and_drops_those_that_wait(
    opened: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrate.runtime.shared_workers.GRACE", LONG)
    pool, stopped, inside = SharedWorkers(4, "break"), list[str](), threading.Event()
    ended = threading.Event()
    others = threading.Event()

    def job(name: str, end: threading.Event, begun: threading.Event) -> str:
        def stop() -> None:
            stopped.append(name)
            end.set()

        with stopped_by(stop):
            begun.set()
            end.wait(LONG)
        return name

    with pool.share(2, stop=nothing) as other:
        stays = other.submit(job, "other", opened, others)
        assert others.wait(LONG)
        waiting: list[Future[str]] = []
        with pytest.raises(ZeroDivisionError), pool.share(1, stop=lambda: stopped.append("its stop")) as share:  # noqa: PT012
            running = share.submit(job, "its job", ended, inside)
            waiting += [share.submit(job, "never", ended, inside) for _ in range(5)]
            assert inside.wait(LONG)
            raise ZeroDivisionError
        assert running.result(LONG) == "its job"
        assert all(one.cancelled() for one in waiting)
        with pytest.raises(CancelledError):
            result_of(waiting[0])
        assert stopped == ["its stop", "its job"]
        assert not stays.done()
        with pytest.raises(RuntimeError):
            share.submit(nothing)
        opened.set()
    assert stays.result(LONG) == "other"
    close(pool)


def test_a_job_that_hangs_is_left_behind_after_the_grace(
    opened: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrate.runtime.shared_workers.GRACE", 0.01)
    pool, begun = SharedWorkers(2, "hang"), threading.Event()

    def hang() -> None:
        begun.set()
        opened.wait(LONG)

    with pytest.raises(KeyboardInterrupt), pool.share(1, stop=nothing) as share:  # noqa: PT012
        hanging = share.submit(hang)
        assert begun.wait(LONG)
        raise KeyboardInterrupt
    assert not hanging.done()
    with pool.share(1, stop=nothing) as other:
        assert other.submit(lambda: 1).result(LONG) == 1
    opened.set()
    close(pool)


def test_no_more_begin_than_an_owner_has_room_for_and_room_that_grows_is_used(opened: threading.Event) -> None:
    pool, room, under_way = SharedWorkers(16, "room"), [1], threading.Semaphore(0)

    def job() -> None:
        under_way.release()
        opened.wait(LONG)

    with pool.share(9, stop=nothing, room=lambda: room[0]) as share:
        jobs = [share.submit(job) for _ in range(9)]
        assert under_way.acquire(timeout=LONG)
        assert sum(one.running() for one in jobs) == 1
        room[0] = 4
        for _ in range(3):
            assert under_way.acquire(timeout=LONG)
        assert sum(one.running() for one in jobs) == 4
        opened.set()
    close(pool)


def test_a_job_that_has_jobs_of_its_own_does_not_wait_for_its_own_thread() -> None:
    pool = SharedWorkers(1, "nested")

    def outer() -> int:
        with pool.share(2, stop=nothing) as inner:
            return sum(one.result(LONG) for one in [inner.submit(int, "3"), inner.submit(int, "4")])

    with pool.share(1, stop=nothing) as share:
        assert share.submit(outer).result(LONG) == 7
    close(pool)


def test_a_pool_that_closes_drops_what_waits_and_its_threads_end(opened: threading.Event) -> None:
    pool, begun = SharedWorkers(1, "closed"), threading.Event()

    def job() -> None:
        begun.set()
        opened.wait(LONG)

    share = pool.share(5, stop=nothing)
    share.submit(job)
    waiting = share.submit(nothing)
    assert begun.wait(LONG)
    pool.close()
    assert waiting.cancelled()
    with pytest.raises(RuntimeError):
        pool.share(1, stop=nothing).submit(nothing)
    opened.set()
    close(pool)


@settings(max_examples=25, deadline=None)
@given(
    threads=st.integers(1, 9),
    owners=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 12), st.booleans()), min_size=1, max_size=5),
)
def test_whatever_the_owners_every_job_is_done_once_or_dropped_and_no_limit_is_passed(
    threads: int, owners: list[tuple[int, int, bool]]
) -> None:
    pool, lock = SharedWorkers(threads, "any"), threading.Lock()
    now, most_seen, done = dict[int, int](), dict[int, int](), list[tuple[int, int]]()

    def job(owner: int, number: int) -> None:
        with lock:
            now[owner] = now.get(owner, 0) + 1
            most_seen[owner] = max(most_seen.get(owner, 0), now[owner])
            most_seen[-1] = max(most_seen.get(-1, 0), sum(now.values()))
        time.sleep(0)
        with lock:
            now[owner] -= 1
            done.append((owner, number))

    def coordinate(owner: int) -> None:
        most, jobs, fails = owners[owner]
        with ExitStack() as stack:
            if fails:
                stack.enter_context(pytest.raises(ZeroDivisionError))
            with pool.share(most, stop=nothing) as share:
                futures[owner] = [share.submit(job, owner, number) for number in range(jobs)]
                if fails:
                    raise ZeroDivisionError

    futures: dict[int, list[Future[None]]] = {}
    with workers.Workers(len(owners), "coordinator") as coordinators:
        for ended in [coordinators.submit(coordinate, owner) for owner in range(len(owners))]:
            ended.result(LONG)
    for owner, (most, jobs, fails) in enumerate(owners):
        assert all(one.done() for one in futures[owner])
        ran = sorted(number for who, number in done if who == owner)
        assert ran == [number for number, one in enumerate(futures[owner]) if not one.cancelled()]
        assert fails or ran == [*range(jobs)]
        assert most_seen.get(owner, 0) <= most
    assert most_seen.get(-1, 0) <= threads
    close(pool)
