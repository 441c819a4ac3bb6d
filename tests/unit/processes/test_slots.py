from __future__ import annotations

import threading

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
