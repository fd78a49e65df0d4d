"""Ctrl-C while modules are imported."""

import signal
import threading

from app.cli.interrupts import ends_at_once


def test_an_interrupt_is_the_system_s_while_modules_are_loaded() -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ends_at_once():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_of_others_and_other_threads_are_left_alone() -> None:
    seen: list[object] = []
    before = signal.signal(signal.SIGINT, seen.append)  # type: ignore[arg-type]
    try:
        with ends_at_once():
            assert signal.getsignal(signal.SIGINT) == seen.append
    finally:
        signal.signal(signal.SIGINT, before)

    def elsewhere() -> None:
        with ends_at_once():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]
