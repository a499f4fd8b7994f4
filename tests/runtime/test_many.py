"""Several threads at once: order, bounds, errors, endings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from runtime.many import in_order


@contextmanager
def plain() -> Iterator[Callable[[int], int]]:
    yield lambda n: n * n


def test_results_come_in_order_whatever_takes_long() -> None:
    @contextmanager
    def uneven() -> Iterator[Callable[[int], int]]:
        def work(number: int) -> int:
            time.sleep(0.02 if number % 7 == 0 else 0)
            return number

        yield work

    assert list(in_order(range(60), uneven, 4)) == list(range(60))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_any_number_of_things(count: int, workers: int) -> None:
    assert list(in_order(range(count), plain, workers)) == [n * n for n in range(count)]


def test_only_a_few_are_taken_ahead() -> None:
    taken = 0

    def things() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = in_order(things(), plain, 2)
    for number in range(3):
        assert next(results) == number**2
    time.sleep(0.2)  # whoever would run ahead has the time for it
    assert taken <= 3 + 8 * 2 + 1
    results.close()


def test_an_answer_does_not_wait_for_things_that_have_not_come() -> None:
    come = threading.Semaphore(1)

    def things() -> Iterator[int]:
        for number in range(3):
            come.acquire()
            yield number

    results = in_order(things(), plain, 4)
    for number in range(3):
        assert next(results) == number**2  # would never come if the next thing had to be there first
        come.release()
    assert list(results) == []


def test_what_the_work_raises_comes_behind_the_results_before_it() -> None:
    @contextmanager
    def failing() -> Iterator[Callable[[int], int]]:
        yield lambda n: 1 // (20 - n)

    results = in_order(range(1000), failing, 3)
    assert [next(results) for _ in range(20)] == [1 // (20 - n) for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_what_the_things_raise() -> None:
    def things() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    results = in_order(things(), plain, 2)
    assert next(results) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)


def test_workers_that_cannot_begin() -> None:
    @contextmanager
    def broken() -> Iterator[Callable[[int], int]]:
        raise MemoryError
        yield abs

    with pytest.raises(MemoryError):
        list(in_order(range(100), broken, 2))


def test_threads_end_when_nobody_wants_more() -> None:
    before = threading.active_count()
    results = in_order(iter(int, 1), plain, 4)  # zeros without end
    assert [next(results) for _ in range(10)] == [0] * 10
    results.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_each_thread_has_a_worker_of_its_own_and_gives_it_back() -> None:
    begun, ended = [], []

    @contextmanager
    def counted() -> Iterator[Callable[[int], int]]:
        mine = threading.get_ident()
        begun.append(mine)

        def work(number: int) -> int:
            assert threading.get_ident() == mine
            time.sleep(0.001)
            return number

        yield work
        ended.append(mine)

    assert list(in_order(range(40), counted, 3)) == list(range(40))
    deadline = time.monotonic() + 10
    while len(ended) < len(begun) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(begun) == sorted(ended)
    assert 1 <= len(set(begun)) <= 3
