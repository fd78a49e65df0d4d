"""``hearth chat``: one answer, or a conversation, in the terminal."""

import sys
from argparse import Namespace
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from app.cli.output import emit, memory, rate
from app.cli.run import Answer, ask, load, new_id, services, take_preset
from app.compose import Services
from app.core.errors import UsageError
from app.core.events import InstanceChanged
from app.core.generate import (
    ContextPolicy,
    Delta,
    GenerateRequest,
    ImagePart,
    Message,
    SamplingParams,
    TextPart,
    Timings,
    Usage,
)
from app.core.pictures import check


class Report(Struct, frozen=True):
    """What ``--json`` prints for one answer. Rates are tokens per second, times seconds, memory bytes."""

    model: str
    text: str
    reason: str
    seed: int
    usage: Usage
    timings: Timings
    prefill_per_second: float | None
    decode_per_second: float | None
    memory: int | None


def chat(args: Namespace) -> int:
    """Answer ``-p`` or the standard input once; with a terminal attached and no ``-p``, hold a conversation."""
    prompt = args.prompt
    interactive = prompt is None and sys.stdin is not None and sys.stdin.isatty()
    if prompt is None and not interactive:
        prompt = sys.stdin.read().strip() if sys.stdin else ""
        if not prompt:
            raise UsageError(
                detail="There is nothing to ask: give -p PROMPT, or write it to the standard input."
            )
    images = tuple(_image(Path(name)) for name in getattr(args, "image", ()))
    with services(args) as running:
        record = running.library.get(args.model)
        take_preset(running, args, record.id)
        talk = _Talk(running, record.id, args, load(running, args.model, args.json), images)
        if prompt is not None:
            talk.turn(prompt)
            return 0
        return talk.converse(getattr(args, "first", None))


class _Talk:
    """The turns of one conversation."""

    def __init__(
        self,
        running: Services,
        model: str,
        args: Namespace,
        instance: InstanceChanged,
        images: tuple[ImagePart, ...] = (),
    ) -> None:
        self._running, self._model, self._args = running, model, args
        self._instance = instance
        preset = running.presets.current(model)
        system = args.system or (preset.system if preset else "")
        self._messages: list[Message] = [Message("system", system)] if system else []
        self._images = images
        """Shown with the next question."""
        self._thinking = False

    def converse(self, first: str | None) -> int:
        """Ask until the input ends; an empty line asks ``first`` when nothing has been asked yet."""
        print(f"{self._model} is ready. Write and press Enter; Ctrl-D ends.")
        while True:
            try:
                text = input("> ").strip()
            except (EOFError, KeyboardInterrupt):
                print()
                return 0
            if text or first:
                self.turn(text or str(first))
                first = None

    def turn(self, text: str) -> None:
        """Ask one thing, stream the answer, then say how quick it was."""
        images, self._images = self._images, ()
        self._messages.append(Message("user", (*images, TextPart(text)) if images else text))
        request = GenerateRequest(
            new_id(),
            tuple(self._messages),
            sampling=self._sampling(),
            context_policy=self._policy(),
            conversation="terminal",
            flush_ms=33,
        )
        answer = ask(self._running, self._model, request, None if self._args.json else self._show)
        self._messages.append(Message("assistant", answer.text))
        report = self._report(answer)
        if not self._args.json:
            print()
        emit(report, self._args.json, _line(report))

    def _policy(self) -> ContextPolicy:
        preset = self._running.presets.current(self._model)
        own = self._args.context_policy or (preset.context_policy if preset else None)
        return own or self._running.settings.value.chat.context_policy

    def _show(self, delta: Delta) -> None:
        if delta.dropped:
            count = len(delta.dropped)
            print(
                f"[the context is full: {count} earlier messages are left out]", file=sys.stderr, flush=True
            )
        if delta.reasoning:
            print(
                f"\x1b[2m{delta.reasoning}\x1b[0m" if sys.stdout.isatty() else delta.reasoning,
                end="",
                flush=True,
            )
            self._thinking = True
        if delta.text:
            print(("\n\n" if self._thinking else "") + delta.text, end="", flush=True)
            self._thinking = False

    def _sampling(self) -> SamplingParams:
        chosen = self._running.settings.value.chat
        sampling = self._running.presets.sampling(self._model) or SamplingParams(
            temperature=chosen.temperature, top_p=chosen.top_p, max_tokens=chosen.max_tokens or None
        )
        if self._args.temp is not None:
            sampling = replace(sampling, temperature=self._args.temp)
        if self._args.max_tokens is not None:
            sampling = replace(sampling, max_tokens=self._args.max_tokens)
        seed = self._args.seed
        return sampling if seed is None or seed < 0 else replace(sampling, seed=seed)

    def _report(self, answer: Answer) -> Report:
        end, used = answer.finished, self._instance.memory
        return Report(
            model=self._model,
            text=answer.text,
            reason=end.reason,
            seed=end.seed,
            usage=end.usage,
            timings=end.timings,
            prefill_per_second=end.timings.prefill_per_second,
            decode_per_second=end.timings.decode_per_second,
            memory=sum(device.total for device in used) if used else None,
        )


def _image(path: Path) -> ImagePart:
    try:
        data = path.read_bytes()
        return ImagePart(data, check(data).mime)
    except OSError as error:
        raise UsageError(detail=f"{path} can't be read.") from error
    except ValueError as error:
        raise UsageError(detail=f"{path} can't be shown: {error}.") from error


def _line(report: Report) -> str:
    usage, timings = report.usage, report.timings
    cached = f", {usage.cached} from the cache" if usage.cached else ""
    return (
        f"[prefill {rate(report.prefill_per_second)} tokens/s ({usage.prompt} tokens{cached})"
        f" | decode {rate(report.decode_per_second)} tokens/s ({usage.completion} tokens)"
        f" | first token {timings.ttft:.2f} s | memory {memory(report.memory)}]"
    )
