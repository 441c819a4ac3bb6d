from __future__ import annotations

import asyncio

import pytest
from tests.unit.endpoint.fake_clock import FakeClock

from lorapod.endpoint.jobs import EndpointJob, JobState
from lorapod.endpoint.limits import EndpointLimits, Policy
from lorapod.endpoint.registry import JobRegistry, Submission, UnknownJob


class Bench:
    """A registry, its clock, and what it announced."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ended: list[EndpointJob] = []
        self.stopped: list[EndpointJob] = []
        self.registry = JobRegistry(
            limits=EndpointLimits(),
            monotonic=self.clock.monotonic,
            on_end=self.ended.append,
            on_stop=self.stopped.append,
        )

    def submit(self, *, sync: bool = False, **policy: int) -> str:
        return self.registry.submit(
            Submission(input=b"{}", sync=sync, policy=Policy.model_validate(policy))
        ).id

    async def running(self, worker_id: str = "w", **policy: int) -> str:
        job_id = self.submit(sync=False, **policy)
        assert [job.id for job in await self.registry.take(worker_id, 1)] == [job_id]
        return job_id

    def state(self, job_id: str) -> JobState:
        return self.registry.get(job_id).state

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.registry.tick()

    def known(self, job_id: str) -> bool:
        try:
            self.registry.get(job_id)
        except UnknownJob:
            return False
        return True


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(("sync", "kept_s"), [(False, 1_800), (True, 60)])
async def test_a_result_is_kept_for_its_time(bench: Bench, *, sync: bool, kept_s: float) -> None:
    job_id = bench.submit(sync=sync)
    await bench.registry.take("w", 1)
    bench.later(100)
    assert bench.registry.finish("w", job_id, output=b"1", error=None)
    bench.later(kept_s - 1)
    assert bench.state(job_id) is JobState.COMPLETED
    bench.later(1)
    assert not bench.known(job_id)


async def test_a_job_may_not_run_longer_than_its_execution_timeout(bench: Bench) -> None:
    job_id = await bench.running(executionTimeout=5_000)
    bench.later(4.9)
    assert bench.state(job_id) is JobState.IN_PROGRESS
    bench.later(0.2)
    assert bench.state(job_id) is JobState.TIMED_OUT
    assert [job.id for job in bench.stopped] == [job_id]
    assert "execution timeout of 5 s" in (bench.registry.get(job_id).error or "")


async def test_ten_minutes_is_the_default_timeout(bench: Bench) -> None:
    job_id = await bench.running()
    bench.later(599)
    assert bench.state(job_id) is JobState.IN_PROGRESS
    bench.later(1)
    assert bench.state(job_id) is JobState.TIMED_OUT


async def test_a_job_may_not_live_longer_than_its_ttl_queued_or_running(bench: Bench) -> None:
    running = await bench.running(ttl=10_000)
    queued = bench.submit(ttl=10_000)
    patient = bench.submit()
    bench.later(10)
    assert [bench.state(each) for each in (running, queued)] == [JobState.TIMED_OUT] * 2
    assert [job.id for job in bench.stopped] == [running]
    assert [job.id for job in bench.registry.queued()] == [patient]
    bench.later(86_400)
    assert bench.state(patient) is JobState.TIMED_OUT


async def test_a_lost_job_is_tried_three_times_in_all(bench: Bench) -> None:
    job_id = bench.submit()
    other = bench.submit()
    for attempt in range(1, 3):
        await bench.registry.take(f"w{attempt}", 1)
        bench.registry.worker_lost(f"w{attempt}", "it died")
        assert bench.registry.get(job_id).attempts == attempt
        assert [job.id for job in bench.registry.queued()] == [job_id, other], "it does not queue anew"
    await bench.registry.take("w3", 1)
    bench.registry.worker_lost("w3", "it died")
    assert bench.state(job_id) is JobState.FAILED
    assert bench.registry.get(job_id).error == "it died; given up after 3 attempts"
    assert (bench.registry.counters.retried, bench.registry.counters.failed) == (2, 1)


async def test_a_job_that_did_not_arrive_was_no_attempt(bench: Bench) -> None:
    job_id = bench.submit()
    bench.registry.give_back(await bench.registry.take("w", 1))
    assert bench.registry.get(job_id).attempts == 0
    assert bench.registry.counters.retried == 0
    assert bench.registry.running() == []
    taken = await bench.registry.take("w", 1)
    bench.registry.finish("w", job_id, output=b"1", error=None)
    bench.registry.give_back(taken)
    assert bench.state(job_id) is JobState.COMPLETED


async def test_progress_of_another_attempt_or_after_the_end_is_dropped(bench: Bench) -> None:
    job_id = await bench.running("w1")
    assert bench.registry.progress("w1", job_id, b"1")
    bench.registry.worker_lost("w1", "it died")
    assert not bench.registry.progress("w1", job_id, b"2"), "queued again"
    assert bench.registry.get(job_id).output is None
    await bench.registry.take("w2", 1)
    assert not bench.registry.progress("w1", job_id, b"3"), "another attempt"
    assert not bench.registry.finish("w1", job_id, output=b"4", error=None)
    assert bench.registry.finish("w2", job_id, output=b"5", error=None)
    assert not bench.registry.progress("w2", job_id, b"6"), "after the end"
    assert bench.registry.get(job_id).output == b"5"
    assert [job.output for job in bench.ended] == [b"5"]


async def test_cancelling(bench: Bench) -> None:
    running, queued = await bench.running(), bench.submit()
    assert bench.registry.cancel(queued).state is JobState.CANCELLED
    assert bench.stopped == [], "nobody runs it"
    assert bench.registry.cancel(running).state is JobState.CANCELLED
    assert [job.id for job in bench.stopped] == [running]
    assert bench.registry.cancel(running).state is JobState.CANCELLED
    assert len(bench.stopped) == 1, "it is told once"
    done = await bench.running()
    bench.registry.finish("w", done, output=None, error="no")
    assert bench.registry.cancel(done).state is JobState.FAILED
    with pytest.raises(UnknownJob):
        bench.registry.cancel("never there")


async def test_a_purge_takes_only_what_waits(bench: Bench) -> None:
    running, queued = await bench.running(), bench.submit()
    assert bench.registry.purge() == 1
    assert bench.state(queued) is JobState.CANCELLED
    assert bench.state(running) is JobState.IN_PROGRESS


async def test_who_waits_for_the_end_hears_it(bench: Bench) -> None:
    job_id = await bench.running()
    waiting = asyncio.create_task(bench.registry.wait_end(job_id, 30))
    await asyncio.sleep(0)
    bench.registry.finish("w", job_id, output=b"1", error=None)
    assert (await waiting).state is JobState.COMPLETED
    other = await bench.running()
    assert (await bench.registry.wait_end(other, 0.01)).state is JobState.IN_PROGRESS


async def test_a_stream_is_read_once_and_starts_again_with_the_job(bench: Bench) -> None:
    job_id = await bench.running("w1")
    assert bench.registry.stream("w1", job_id, b"1")
    assert bench.registry.drain_stream(job_id) == [b"1"]
    assert bench.registry.drain_stream(job_id) == []
    bench.registry.stream("w1", job_id, b"2")
    bench.registry.worker_lost("w1", "it died")
    assert not bench.registry.stream("w1", job_id, b"3")
    assert bench.registry.drain_stream(job_id) == []
