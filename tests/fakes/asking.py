"""Asking a real supervisor and waiting for the end of the answer."""

import threading
from dataclasses import dataclass, field

from app.core.events import Bus, InstanceChanged
from app.core.generate import Delta, Failed, Finished, GenerateEvent, GenerateRequest, Message, SamplingParams
from app.core.types import LoadPlan
from app.runtime.supervisor import Supervisor

MODEL = "starter"
GREEDY = SamplingParams(temperature=0.0, max_tokens=24)


@dataclass
class Reply:
    """The events of one request, as its sink got them."""

    events: list[GenerateEvent] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    first: threading.Event = field(default_factory=threading.Event)
    after_the_end: int = 0

    def __call__(self, event: GenerateEvent) -> None:
        if self.over.is_set():
            self.after_the_end += 1
        self.events.append(event)
        if isinstance(event, Delta) and (event.text or event.reasoning):
            self.first.set()
        if isinstance(event, Failed) or (isinstance(event, Finished) and event.done):
            self.first.set()
            self.over.set()

    def wait(self, seconds: float = 60.0) -> "Reply":
        assert self.over.wait(seconds), f"no end after {seconds} s: {self.events[-3:]}"
        return self

    def begun(self, seconds: float = 60.0) -> "Reply":
        assert self.first.wait(seconds), "no first word"
        return self

    def text(self, choice: int = 0) -> str:
        return "".join(e.text for e in self.events if isinstance(e, Delta) and e.choice == choice)

    def finished(self, choice: int = 0) -> Finished:
        found = [e for e in self.events if isinstance(e, Finished) and e.choice == choice]
        assert len(found) == 1, self.events[-3:]
        return found[0]

    @property
    def failed(self) -> Failed:
        event = self.events[-1]
        assert isinstance(event, Failed), event
        return event


_counter = iter(range(1_000_000))


def request(text: str = "", sampling: SamplingParams = GREEDY, **fields: object) -> GenerateRequest:
    """A chat request with one user message, or what ``fields`` say."""
    if text:
        fields["messages"] = (Message("user", text),)
    return GenerateRequest(f"request-{next(_counter)}", sampling=sampling, **fields)  # type: ignore[arg-type]


def ask(supervisor: Supervisor, asked: GenerateRequest, model: str = MODEL) -> Reply:
    """Submit; the caller waits."""
    reply = Reply()
    supervisor.submit(model, asked, reply)
    return reply


def small_plan(path: object, **changes: object) -> LoadPlan:
    """A plan that loads fast and takes little memory; the worker picks its threads."""
    fields = {"n_ctx": 1024, "n_batch": 512, "n_ubatch": 256} | changes
    return LoadPlan(str(path), **fields)  # type: ignore[arg-type]


class States:
    """Remembers every state an instance went through."""

    def __init__(self, bus: Bus) -> None:
        self.events: list[InstanceChanged] = []
        bus.subscribe(InstanceChanged, self.events.append)

    def names(self, model: str = MODEL) -> list[str]:
        """States in order, each run once."""
        states = [event.state for event in self.events if event.model == model]
        return [state for at, state in enumerate(states) if not at or states[at - 1] != state]
