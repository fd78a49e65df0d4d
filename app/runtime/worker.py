"""A worker process: one model, one engine, one pipe. Started as ``python -m app worker --pipe N``.

The main thread loads the model and is then the engine thread; the intake thread reads the pipe. The process ends when
the pipe does: a worker never outlives its parent. Output and faults go to the instance's log file (our stderr).
"""

import faulthandler
import gc
import logging
import os
import sys
import threading
from typing import Any, NoReturn

import msgspec

from app.core.errors import HearthError
from app.core.generate import Failed
from app.runtime.channel import Inlet, Writer, open_inherited
from app.runtime.protocol import (
    Cancel,
    Command,
    Detokenize,
    Embed,
    Event,
    Events,
    Fatal,
    Forget,
    Load,
    Measure,
    Measured,
    Refused,
    Render,
    Rendered,
    Report,
    Rest,
    Speak,
    Submit,
    Text,
    Tokenize,
    Tokens,
    Unload,
    Vectors,
    decode_command,
    encode,
    error_info,
)

log = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.0005
"""Seconds until a busy intake thread hands the GIL back to the engine (Python's default is 5 ms: a whole token)."""


def main(args: list[str]) -> int:
    """Serve one pipe until it ends. Returns the exit status."""
    if len(args) != 2 or args[0] != "--pipe" or not args[1].isdigit():
        print("usage: worker --pipe N (started by Hearth itself)", file=sys.stderr)
        return 2
    # This thread's stack alone: walking the others' while they run can crash, and then tell the wrong signal.
    faulthandler.enable(all_threads=False)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    sys.setswitchinterval(SWITCH_INTERVAL)
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    worker = Worker(open_inherited(int(args[1])))
    return leave(worker.serve())


def calm_collector() -> None:
    """Garbage collection is for the pauses between answers (``Engine``), not for the middle of one; what is loaded
    now stays for good."""
    gc.collect()
    gc.freeze()
    gc.disable()


def leave(status: int) -> NoReturn:
    """End at once. (An interpreter's orderly end would wait for the intake thread's read.)"""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class Worker:
    """The process's two threads and what they share."""

    def __init__(self, pipe: Any) -> None:
        self._inlet, self._writer = Inlet(pipe), Writer(pipe)
        self._sending = threading.Lock()
        self._engine: Any = None
        self._intake: Any = None
        self._embedder: Any = None

    # ------------------------------------------------------------------------------ the pipe

    def send(self, report: Report) -> None:
        """Write one report; from any thread. A pipe that is gone ends the process."""
        frame = encode(report)
        try:
            with self._sending:
                self._writer.send(frame)
        except OSError:
            leave(0)

    def _receive(self) -> Command:
        while True:
            try:
                return decode_command(self._inlet.frame())
            except (EOFError, OSError):
                leave(0)
            except msgspec.DecodeError as error:
                log.error("a command can't be read and is left out: %s", error)

    # ------------------------------------------------------------------------------ the main thread

    def serve(self) -> int:
        """Load, then run the engine until it is told to stop."""
        command = self._receive()
        if not isinstance(command, Load):
            log.error("the first command was %s, not load", type(command).__name__)
            return 2
        watch = threading.Thread(target=self._read, name="intake", daemon=True)
        loaded = None
        try:
            from app.runtime.loading import load  # noqa: PLC0415 - llama.cpp is loaded where its faults can be told

            watch.start()
            loaded = load(command, self.send)
            self._intake, self._embedder, self._engine = loaded.intake, loaded.embedder, loaded.engine
            self.send(loaded.ready)
            calm_collector()
            loaded.engine.run()
        except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
            return self._fatal(error)
        finally:
            if loaded is not None:
                loaded.close()
        return 0

    def _fatal(self, error: Exception) -> int:
        expected = isinstance(error, HearthError)
        log.log(
            logging.INFO if expected else logging.ERROR, "the engine ends: %s", error, exc_info=not expected
        )
        self.send(Fatal(error_info(error)))
        return 1

    # ------------------------------------------------------------------------------ the intake thread

    def _read(self) -> None:
        while True:
            command = self._receive()
            if self._engine is None:
                if isinstance(command, Unload):
                    leave(0)
                continue  # the supervisor asks nothing of a model that is not ready
            try:
                self._handle(command)
            except Exception as error:  # noqa: BLE001 - one bad request must not end the others
                self._refuse(command, error)

    def _handle(self, command: Command) -> None:
        match command:
            case Submit(key, request, asks):
                self._engine.submit(self._intake.prepare(key, request), asks)
            case Speak(key, seen, head, tail):
                if (socket := self._inlet.socket()) >= 0:
                    self._engine.speak(key, seen, socket, head, tail)
            case Cancel(key):
                self._engine.cancel(key)
            case Forget(conversations):
                self._engine.call(lambda: [self._engine.forget(name) for name in conversations])
            case Rest(key):
                self._engine.call(lambda: self._give_back(command, key))
            case Unload():
                self._engine.stop()
            case Load():
                log.error("a second load command is left out")
            case _:
                self._answer(command)

    def _answer(self, command: Render | Tokenize | Measure | Detokenize | Embed) -> None:
        match command:
            case Render(key, messages, tools):
                prompt, tokens = self._intake.render(messages, tools)
                self.send(Rendered(key, prompt, tuple(tokens)))
            case Tokenize(key, text, special):
                found = self._intake.tokenize_text(text, special=special)
                self.send(Tokens(key, tuple(found)))
            case Measure(key, width, height):
                self.send(Measured(key, self._intake.measure(width, height)))
            case Detokenize(key, tokens):
                self.send(Text(key, self._intake.detokenize(tokens)))
            case Embed():
                self._embed(command)

    def _embed(self, command: Embed) -> None:
        embedder = self._embedder
        inputs = embedder.prepare(command)

        def act() -> None:
            try:
                self._engine.wake()
                rows = embedder.compute(inputs, normalize=command.normalize)
            except Exception as error:  # noqa: BLE001 - one bad request must not end the others
                self._refuse(command, error)
                return
            width = rows.shape[1]
            self.send(Vectors(command.key, width, rows.tobytes(), sum(map(len, inputs))))

        self._engine.call_alone(act)

    def _give_back(self, command: Command, key: int) -> None:
        try:
            self._engine.rest(key)
        except HearthError as error:
            self._refuse(command, error)

    def _refuse(self, command: Command, error: Exception) -> None:
        if not isinstance(error, HearthError):
            log.error("%s failed", type(command).__name__, exc_info=error)
        info = error_info(error)
        if isinstance(command, Submit):
            self.send(Events([Event(command.key, Failed(info.code, info.message, info.params))]))
        elif isinstance(command, Render | Tokenize | Measure | Detokenize | Embed | Rest):
            self.send(Refused(command.key, info))
