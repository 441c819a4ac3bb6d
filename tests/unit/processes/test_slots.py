from __future__ import annotations

import threading

import pytest

from lorapod.processes.slots import Slot, SlotPool


def never() -> bool:
    return False


def test_a_machine_without_gpu_has_one_slot_that_shows_none() -> None:
    slot = SlotPool([]).acquire(never)
    assert slot == Slot(gpu=None)
    assert slot.visible_devices == ""


def test_each_gpu_is_held_once_and_the_line_is_kept() -> None:
    pool = SlotPool([0, 1])
    first, second = pool.acquire(never), pool.acquire(never)
    assert first is not None
    assert second is not None
    assert {first.visible_devices, second.visible_devices} == {"0", "1"}
    order: list[int] = []
    done = [threading.Event() for _ in range(3)]

    def wait_in_line(number: int) -> None:
        slot = pool.acquire(never)
        assert slot is not None
        order.append(number)
        done[number].set()
        pool.release(slot)

    threads = []
    for number in range(3):
        thread = threading.Thread(target=wait_in_line, args=(number,))
        thread.start()
        threads.append(thread)
        while len(pool._waiting) <= number:
            threading.Event().wait(0.001)
    assert order == []
    pool.release(first)
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2]


def test_whoever_gives_up_lets_the_next_one_pass() -> None:
    pool = SlotPool([0])
    held = pool.acquire(never)
    assert held is not None
    gone = threading.Event()
    answers: list[Slot | None] = []
    waiter = threading.Thread(target=lambda: answers.append(pool.acquire(gone.is_set)))
    waiter.start()
    gone.set()
    pool.wake()
    waiter.join(5)
    assert answers == [None]
    pool.release(held)
    assert pool.acquire(never) == held


def test_a_waiter_that_gives_up_wakes_no_other() -> None:
    pool = SlotPool([0])
    held = pool.acquire(never)
    assert held is not None
    gone = threading.Event()
    asking: set[int] = set()

    def asks() -> bool:
        asking.add(threading.get_ident())
        return gone.is_set()

    stopped = threading.Thread(target=pool.acquire, args=(asks,), daemon=True)
    stopped.start()
    while not pool._waiting:
        threading.Event().wait(0.001)
    others, answers, over = [], [], threading.Event()

    def patient() -> bool:
        asking.add(threading.get_ident())
        return over.is_set()

    for number in range(20):
        others.append(threading.Thread(target=lambda: answers.append(pool.acquire(patient)), daemon=True))
        others[-1].start()
        while len(pool._waiting) < number + 2:
            threading.Event().wait(0.001)
    asking.clear()
    gone.set()
    pool.wake()
    stopped.join(5)
    # Thousands may wait: what each stop wakes must not grow with them.
    assert not asking & {thread.ident for thread in others}
    over.set()
    pool.wake()
    for thread in others:
        thread.join(5)
    assert answers == [None] * 20


class Lodger:
    def __init__(self) -> None:
        self.releases = 0

    def release(self) -> None:
        self.releases += 1


def test_a_resident_is_released_for_anybody_but_itself() -> None:
    pool, lodger = SlotPool([0]), Lodger()
    for _ in range(2):
        slot = pool.acquire(never, lodger)
        assert slot is not None
        pool.release(slot)
    assert lodger.releases == 0

    other = pool.acquire(never)
    assert other is not None
    assert lodger.releases == 1
    pool.release(other)
    assert pool.acquire(never) is not None
    assert lodger.releases == 1


def test_a_resident_is_never_on_two_gpus() -> None:
    pool, lodger = SlotPool([0, 1]), Lodger()
    first = pool.acquire(never, lodger)
    assert first is not None
    answers: list[Slot | None] = []
    waiter = threading.Thread(target=lambda: answers.append(pool.acquire(never, lodger)))
    waiter.start()
    while not pool._waiting:
        threading.Event().wait(0.001)

    # Who comes later takes the GPU that the waiter cannot use.
    other = pool.acquire(never)
    assert other is not None
    assert other != first
    pool.release(first)
    waiter.join(5)
    assert answers == [first]
    assert lodger.releases == 0


def test_a_resident_gets_no_other_gpu_while_it_is_being_released() -> None:
    """Its release would end what its next process has just loaded."""
    asked, done = threading.Event(), threading.Event()

    class Slow(Lodger):
        def release(self) -> None:
            asked.set()
            assert done.wait(5)
            super().release()

    pool, lodger = SlotPool([0, 1]), Slow()
    home = pool.acquire(never, lodger)
    assert home is not None
    pool.release(home)
    other = pool.acquire(never)
    assert other is not None
    taking = threading.Thread(target=pool.acquire, args=(never,))
    taking.start()
    assert asked.wait(5)
    pool.release(other)
    answers: list[tuple[Slot | None, int]] = []
    waiter = threading.Thread(target=lambda: answers.append((pool.acquire(never, lodger), lodger.releases)))
    waiter.start()
    waiter.join(0.2)
    done.set()
    taking.join(5)
    waiter.join(5)

    assert answers == [(other, 1)]


def test_nobody_is_disturbed_while_another_gpu_is_free() -> None:
    pool, lodger = SlotPool([0, 1]), Lodger()
    home = pool.acquire(never, lodger)
    assert home is not None
    pool.release(home)

    training = pool.acquire(never)
    assert training != home
    assert pool.acquire(never, lodger) == home
    assert lodger.releases == 0


def test_a_gpu_is_not_lost_when_its_resident_fails_to_go() -> None:
    class Stubborn(Lodger):
        def release(self) -> None:
            raise RuntimeError("stuck")

    pool = SlotPool([0])
    slot = pool.acquire(never, Stubborn())
    assert slot is not None
    pool.release(slot)
    with pytest.raises(RuntimeError, match="stuck"):
        pool.acquire(never)
    assert pool.acquire(never) == slot
