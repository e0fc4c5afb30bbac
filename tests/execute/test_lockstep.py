"""The cores take turns in one order, meet, deadlock with a text that says where, and fail together."""

from __future__ import annotations

import threading

import pytest

from opentrn.errors import KernelError
from opentrn.execute.lockstep import Lockstep


def lockstep(log=None, count=2):
    return Lockstep(count, (lambda core: log.append(f"resume {core}")) if log is not None else lambda core: None)


def test_one_core_runs_in_the_callers_thread():
    seen = []
    assert Lockstep(1, seen.append).run(lambda core: (core, threading.get_ident())) == [(0, threading.get_ident())]
    assert seen == [0]


def test_results_of_both_cores_in_their_order():
    assert lockstep().run(lambda core: f"result {core}") == ["result 0", "result 1"]


def traced(rounds=3):
    log = []
    cores = lockstep(log)

    def body(core):
        for n in range(rounds):
            log.append(f"core {core} round {n}")
            cores.exchange(core, f"meeting {n}", ("m", n), (1 - core,), None)
        log.append(f"core {core} ends")

    cores.run(body)
    return log


def test_the_order_is_the_same_every_time():
    first = traced()
    assert all(traced() == first for _ in range(20))
    # core 0 runs until it has to wait; the last one to arrive goes on
    assert first[:6] == ["resume 0", "core 0 round 0", "resume 1", "core 1 round 0", "core 1 round 1", "resume 0"]
    assert sorted(x for x in first if "ends" in x) == ["core 0 ends", "core 1 ends"]


def test_only_one_core_runs_at_a_time():
    cores, inside, most = lockstep(), [0], [0]

    def body(core):
        for n in range(50):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1
            cores.turn(core)
            cores.exchange(core, "m", n, (1 - core,), None)

    cores.run(body)
    assert most == [1]


def test_payloads_cross_over_and_each_meeting_is_its_own():
    cores = lockstep()

    def body(core):
        return [cores.exchange(core, "swap", n, (1 - core,), (core, n))[1 - core] for n in range(3)]

    assert cores.run(body) == [[(1, n) for n in range(3)], [(0, n) for n in range(3)]]


def test_turns_alternate():
    log = []
    cores = lockstep()

    def body(core):
        for n in range(3):
            log.append((core, n))
            cores.turn(core)

    cores.run(body)
    assert log == [(core, n) for n in range(3) for core in (0, 1)]


def test_a_turn_goes_on_alone_while_the_other_core_waits_or_has_ended():
    log, cores = [], lockstep()

    def body(core):
        if core == 1:
            return
        for n in range(3):
            log.append(n)
            cores.turn(core)

    cores.run(body)
    assert log == [0, 1, 2]


def test_a_deadlock_names_what_each_core_waits_at():
    cores = lockstep()
    with pytest.raises(KernelError) as caught:
        cores.run(lambda core: cores.exchange(core, f"place {'ab'[core]}", ("tag", core), (1 - core,), None))
    text = str(caught.value)
    assert "core 0 waits at place a" in text
    assert "core 1 waits at place b" in text
    assert "same order" in text


def test_waiting_for_a_core_that_has_ended_is_a_deadlock():
    cores = lockstep()

    def body(core):
        if core == 0:
            cores.exchange(0, "the last barrier", "tag", (1,), None)

    with pytest.raises(KernelError, match="core 0 waits at the last barrier; core 1 has ended"):
        cores.run(body)


class Odd(Exception):
    """An exception that opentrn doesn't know."""


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("error", [AssertionError("[NCC_INKI016] Kernel validation exception: K is odd"), Odd("mine")])
def test_an_exception_ends_the_other_core_and_stays_as_it_is(failing, error):
    cores, after = lockstep(), []

    def body(core):
        if core == failing:
            raise error
        cores.exchange(core, "barrier", "tag", (failing,), None)
        after.append(core)

    before = threading.active_count()
    with pytest.raises(type(error)) as caught:
        cores.run(body)
    assert caught.value is error
    assert after == []
    assert threading.active_count() == before


def test_a_kernel_cannot_swallow_the_failure_of_its_partner():
    cores, after = lockstep(), []

    def body(core):
        if core == 1:
            raise ValueError("core 1 breaks")
        try:
            cores.exchange(core, "barrier", "tag", (1,), None)
        except Exception:  # what a careless kernel does
            after.append("swallowed")
        after.append("went on")

    with pytest.raises(ValueError, match="core 1 breaks"):
        cores.run(body)
    assert after == []


def test_the_first_failure_wins():
    cores = lockstep()

    def body(core):
        try:
            cores.exchange(core, "barrier", "tag", (1 - core,), None)
        finally:
            raise ValueError(f"core {core}")

    with pytest.raises(ValueError, match="core 1"):  # the second to arrive goes on first
        cores.run(body)


def test_keyboard_interrupt_in_a_core_reaches_the_caller():
    def body(core):
        if core == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lockstep().run(body)
