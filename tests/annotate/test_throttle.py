import asyncio
import random
import time

import pytest

from simgpt.annotate.attempts import Outcome
from simgpt.annotate.teachers import CallError
from simgpt.annotate.throttle import Throttle, wait_before

BUSY = CallError(Outcome.RATE_LIMITED, "slow down")


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


async def burst(throttle, count, error=None):
    """`count` calls that run together and end alike."""
    for entered in [await throttle.enter() for _ in range(count)]:
        throttle.leave(entered, error)


def test_no_more_calls_than_the_limit_run_at_once():
    rng = random.Random(1)
    throttle = Throttle(8)
    active = most = done = 0

    async def call():
        nonlocal active, most, done
        entered = await throttle.enter()
        active += 1
        most = max(most, active)
        assert active <= 8
        await asyncio.sleep(rng.uniform(0, 0.002))
        active -= 1
        done += 1
        throttle.leave(entered, BUSY if rng.random() < 0.1 else None)

    async def main():
        await asyncio.gather(*(call() for _ in range(300)))

    run(main())
    assert (most, done) == (8, 300)
    assert throttle.limit <= 8


@pytest.mark.parametrize("outcome", [Outcome.RATE_LIMITED, Outcome.TIMED_OUT])
def test_a_burst_of_overload_cuts_the_limit_once(outcome):
    async def main():
        throttle = Throttle(10)
        await burst(throttle, 10, CallError(outcome, ""))
        assert throttle.limit == pytest.approx(7)
        await burst(throttle, 7, CallError(outcome, ""))
        assert throttle.limit == pytest.approx(4.9)

    run(main())


@pytest.mark.parametrize(
    "outcome", [Outcome.SERVER_ERROR, Outcome.DROPPED, Outcome.REJECTED, Outcome.MALFORMED]
)
def test_other_failures_are_no_sign_of_overload(outcome):
    async def main():
        throttle = Throttle(10)
        await burst(throttle, 10, CallError(outcome, ""))
        assert throttle.limit == 10

    run(main())


def test_after_a_cut_fewer_run_at_once():
    async def main():
        throttle = Throttle(10)
        await burst(throttle, 1, BUSY)
        entered = [await throttle.enter() for _ in range(7)]
        waiting = asyncio.create_task(throttle.enter())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        throttle.leave(entered[0])
        await waiting

    run(main())


def test_the_limit_grows_back_by_about_one_for_each_round_of_answers():
    async def main():
        throttle = Throttle(10)
        await burst(throttle, 1, BUSY)
        await burst(throttle, 7)
        assert 7.9 < throttle.limit < 8
        for _ in range(40):
            await burst(throttle, 1)
        assert throttle.limit == 10

    run(main())


def test_one_call_at_a_time_always_goes_through():
    async def main():
        throttle = Throttle(2)
        for _ in range(10):
            await burst(throttle, 1, BUSY)
        assert throttle.limit == 1
        await burst(throttle, 1)
        assert throttle.limit == 2

    run(main())


def test_a_wait_that_the_server_asks_for_holds_everyone():
    async def main():
        throttle = Throttle(3)
        first = [await throttle.enter() for _ in range(3)]
        queued = [asyncio.create_task(throttle.enter()) for _ in range(2)]
        await asyncio.sleep(0)
        began = time.monotonic()
        error = CallError(Outcome.SERVER_ERROR, "", retry_after_s=0.2)
        for entered in first:
            throttle.leave(entered, error)
        # A shorter wait does not take back a longer one.
        throttle.leave(
            await throttle.enter(), CallError(Outcome.RATE_LIMITED, "", retry_after_s=0.0)
        )
        times = [await task for task in queued]
        assert all(entered - began >= 0.2 for entered in times)

    run(main())


def test_a_wait_that_begins_while_others_wait_holds_them_longer():
    async def main():
        throttle = Throttle(3)
        slow = await throttle.enter()
        throttle.leave(
            await throttle.enter(), CallError(Outcome.RATE_LIMITED, "", retry_after_s=0.05)
        )
        waiting = asyncio.create_task(throttle.enter())
        await asyncio.sleep(0.01)
        began = time.monotonic()
        throttle.leave(slow, CallError(Outcome.RATE_LIMITED, "", retry_after_s=0.2))
        assert await waiting - began >= 0.2

    run(main())


def test_who_gave_up_waiting_is_passed_over():
    async def main():
        throttle = Throttle(1)
        entered = await throttle.enter()
        gone, waiting = (asyncio.create_task(throttle.enter()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        throttle.leave(entered)
        await asyncio.wait_for(waiting, 1)
        return gone.cancelled(), waiting.done()

    assert run(main()) == (True, True)


def test_a_failure_while_others_wait_is_the_only_one_that_is_told():
    async def main():
        throttle = Throttle(1)

        async def call(fail):
            entered = await throttle.enter()
            try:
                await asyncio.sleep(0.01)
                if fail:
                    raise ValueError("the disk is full")
                await asyncio.sleep(10)
            finally:
                throttle.leave(entered)

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                for number in range(4):
                    group.create_task(call(fail=number == 0))
        assert [type(error) for error in caught.value.exceptions] == [ValueError]

    run(main())


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (9, 60), (100, 60)]
)
def test_waits_double_up_to_a_minute_with_some_chance_in_them(attempt, longest):
    waits = [wait_before(attempt) for _ in range(500)]
    assert 0.75 * longest <= min(waits) < 0.78 * longest
    assert 0.97 * longest < max(waits) <= longest
