"""What a soak's clients do, each checking its own answer. Every act raises WrongError with what went wrong."""

import http.client
import json
import queue
import random
import time
import uuid
from collections.abc import Callable

from msgspec.structs import replace

from app.core.generate import (
    Delta,
    Failed,
    Finished,
    GenerateEvent,
    GenerateRequest,
    Message,
    ResponseFormat,
    SamplingParams,
)
from app.runtime.supervisor import Supervisor

PATIENCE = 120.0
STOPS = (" the", "\n", ".", " a")


BEGINNINGS = (
    "1, 2, 3, 4, 5, 6,", "10, 20, 30, 40,", "2, 4, 6, 8, 10,", "January, February, March,", "a, b, c, d, e,",
    "Monday, Tuesday, Wednesday,", "one, two, three, four,", "5, 10, 15, 20,",
)  # fmt: skip
CLEAR = 0.5
"""Nats between the best and the second token: the batch rounds differently, but by a thousandth of that."""
DIGITS = SamplingParams(max_tokens=20, temperature=1e6, top_k=0, top_p=1.0, min_p=0.0)
"""All that the grammar allows is equally likely: the seed alone decides, whatever else is in the batch."""


class WrongError(Exception):
    """An answer that is lost, late, crossed or broken."""


class Serial:
    """What requests are answered alone, of those whose answer does not depend on who else is in the batch: greedy ones
    whose best token leads clearly each time, and random ones that the seed alone decides."""

    def __init__(self, client: "Client") -> None:
        self.answers: list[tuple[GenerateRequest, str]] = []
        for beginning in BEGINNINGS:
            request = GenerateRequest(
                "", prompt=beginning, sampling=SamplingParams(temperature=0.0, max_tokens=12, logprobs=2)
            )
            text, clear = client.alone(request)
            if clear >= CLEAR:
                self.answers.append((request, text))
        self.clear = len(self.answers)
        for seed in range(8):
            grammar = ResponseFormat("gbnf", grammar="root ::= [0-9]{12}")
            request = GenerateRequest(
                "", prompt="Digits: ", sampling=replace(DIGITS, seed=seed), response_format=grammar
            )
            self.answers.append((request, client.alone(request)[0]))


class Client:
    """One client's acts, over the supervisor and over HTTP. ``rolls`` decides everything, so a run can be repeated."""

    def __init__(
        self, supervisor: Supervisor, address: str, model: str, rolls: random.Random, serial: Serial | None = None
    ) -> None:  # fmt: skip
        self._supervisor, self._model, self._rolls, self._serial = supervisor, model, rolls, serial
        self._host = address.removeprefix("http://")
        self._deck: list[str] = []

    def act(self) -> str:
        """Do one thing; its name. Each comes once before any comes again, so that a slow machine does them all."""
        acts: dict[str, Callable[[], None]] = {
            "echo": self._echo,
            "schema": self._schema,
            "stop": self._stop,
            "cancel": self._cancel,
            "plain": self._plain,
            "serial": self._as_alone,
            "disconnect": self._disconnect,
            "bad request": self._bad,
        }
        if not self._deck:
            self._deck = self._rolls.sample(list(acts), len(acts))
        name = self._deck.pop()
        acts[name]()
        return name

    def _request(self, text: str, **more: object) -> GenerateRequest:
        sampling = more.pop("sampling", SamplingParams(max_tokens=24, seed=self._rolls.randrange(2**31)))
        return GenerateRequest(uuid.uuid4().hex, (Message("user", text),), sampling=sampling, **more)  # type: ignore[arg-type]

    def _ask(self, request: GenerateRequest, cancel_after: int | None = None) -> tuple[str, Finished]:
        events: queue.SimpleQueue[GenerateEvent] = queue.SimpleQueue()
        self._supervisor.submit(self._model, request, events.put)
        text, count = "", 0
        while True:
            try:
                event = events.get(timeout=PATIENCE)
            except queue.Empty:
                raise WrongError(f"a stream was lost after {text!r}") from None
            if isinstance(event, Failed):
                raise WrongError(f"{event.code}: {event.message}")
            if isinstance(event, Finished):
                return text, event
            assert isinstance(event, Delta)
            text, count = text + event.text, count + 1
            if count == cancel_after:
                self._supervisor.cancel(request.id)

    def alone(self, request: GenerateRequest) -> tuple[str, float]:
        """The answer's text, and by how much the best token led at least (with ``logprobs``)."""
        events: queue.SimpleQueue[GenerateEvent] = queue.SimpleQueue()
        self._supervisor.submit(self._model, replace(request, id=uuid.uuid4().hex), events.put)
        text, clear = "", float("inf")
        while isinstance(event := events.get(timeout=PATIENCE), Delta):
            text += event.text
            for one in event.logprobs:
                best, second = [value for _text, _data, value in one.top[:2]]
                clear = min(clear, best - second)
        if not isinstance(event, Finished):
            raise WrongError(repr(event))
        return text, clear

    def _as_alone(self) -> None:
        assert self._serial is not None
        request, expected = self._rolls.choice(self._serial.answers)
        text, _end = self._ask(replace(request, id=uuid.uuid4().hex))
        if text != expected:
            raise WrongError(f"alone {request.prompt!r} is answered {expected!r}, among others {text!r}")

    def _echo(self) -> None:
        # The grammar lets this stream say one thing only: another stream's token in it would show.
        word = f"marker-{self._rolls.randrange(10**9)}"
        sampling = SamplingParams(max_tokens=64, seed=1)
        request = self._request(
            "Say it.", sampling=sampling, response_format=ResponseFormat("gbnf", grammar=f'root ::= "{word}"')
        )
        text, _end = self._ask(request)
        if text != word:
            raise WrongError(f"asked for {word}, got {text!r}")

    def _schema(self) -> None:
        number = self._rolls.randrange(10**6)
        schema = {
            "type": "object",
            "properties": {"n": {"const": number}},
            "required": ["n"],
            "additionalProperties": False,
        }
        sampling = SamplingParams(max_tokens=80, seed=2)
        text, end = self._ask(
            self._request("JSON.", sampling=sampling, response_format=ResponseFormat("json_schema", schema))
        )
        if end.reason == "stop" and json.loads(text) != {"n": number}:
            raise WrongError(f"asked for {number}, got {text!r}")

    def _stop(self) -> None:
        sampling = SamplingParams(max_tokens=40, stop=STOPS, seed=self._rolls.randrange(2**31))
        text, _end = self._ask(self._request("Write about the sea.", sampling=sampling))
        if any(stop in text for stop in STOPS):
            raise WrongError(f"a stop string leaked: {text!r}")

    def _cancel(self) -> None:
        sampling = SamplingParams(max_tokens=200, ignore_eos=True, seed=self._rolls.randrange(2**31))
        _text, end = self._ask(self._request("Count.", sampling=sampling), self._rolls.randrange(1, 20))
        if end.reason not in ("cancelled", "length") or end.usage.completion > 200:
            raise WrongError(
                f"a cancelled answer ended with {end.reason} after {end.usage.completion} tokens"
            )

    def _plain(self) -> None:
        sampling = SamplingParams(max_tokens=16, seed=self._rolls.randrange(2**31), ignore_eos=True)
        _text, end = self._ask(self._request("Tell me about rivers.", sampling=sampling))
        if end.usage.completion != 16:
            raise WrongError(f"16 tokens were asked for, {end.usage.completion} came")

    def _post(self, body: bytes) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._host, timeout=PATIENCE)
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        return connection

    def _disconnect(self) -> None:
        body = {"model": self._model, "messages": [{"role": "user", "content": "Go on for ever."}], "stream": True,
                "max_tokens": 400, "ignore_eos": True}  # fmt: skip
        connection = self._post(json.dumps(body).encode())
        answer = connection.getresponse()
        if answer.status != 200:
            raise WrongError(f"HTTP {answer.status}: {answer.read()!r}")
        answer.read(self._rolls.randrange(1, 3000))
        time.sleep(self._rolls.random() * 0.05)
        connection.close()

    def _bad(self) -> None:
        body, status = self._rolls.choice(
            [
                (b"{", 400),
                (b'{"model": "nobody", "messages": [{"role": "user", "content": "x"}]}', 404),
                (json.dumps({"model": self._model, "messages": []}).encode(), 400),
                (
                    json.dumps(
                        {"model": self._model, "messages": [{"role": "user", "content": "x"}], "top_p": 9}
                    ).encode(),
                    400,
                ),
            ]
        )
        connection = self._post(body)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != status:
            raise WrongError(f"a bad request was answered {answer.status}, not {status}")
