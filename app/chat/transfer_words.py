"""What exports say beside the messages: who wrote, when, with what, how fast, and why it stopped.

English by itself; the window brings its language as a ``Speech``. Names of settings are llama.cpp's in any language.
"""

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from app.chat.answer_energy import AnswerEnergy
from app.chat.store_types import Conversation, StoredMessage
from app.core.events import ErrorInfo
from app.core.generate import SamplingParams, Timings

if TYPE_CHECKING:
    from app.planning.usage import Day

ROLES = {"user": "User", "assistant": "Assistant", "tool": "Tool", "system": "System"}
REASONS = {
    "length": "reached the longest answer",
    "cancelled": "stopped by the user",
    "context_full": "context is full",
    "tool_calls": "called a tool",
    "interrupted": "interrupted when Hearth ended",
    "failed": "broke off",
}
CHAT, THINKING = "Chat", "Thinking"
_TOKENS, _FIRST = "{prompt} + {completion} tokens", "first token {seconds} s"
_PREFILL, _DECODE = "prefill {speed} tokens/s", "decode {speed} tokens/s"
_ENERGY, _ENTERED = "energy {energy} Wh", "energy {energy} Wh (from entered watts)"
_MEASURED = "Energy {energy} Wh, measured in {measured} of {requests} requests"
_TEMPERATURE, _SEED = "temperature {value}", "seed {seed}"
WORDS = (
    *ROLES.values(), *REASONS.values(), CHAT, THINKING, _TOKENS, _FIRST, _PREFILL, _DECODE, _ENERGY, _ENTERED,
    _MEASURED, _TEMPERATURE, _SEED,
)  # fmt: skip
"""Every text here, for the translators (context Export)."""


class Speech(Struct, frozen=True):
    """A language: what puts a text of ``WORDS`` into it, its decimal sign, and how it says an error."""

    say: Callable[[str], str] = str
    point: str = "."
    error: Callable[[ErrorInfo], str] = lambda error: error.message

    def fill(self, text: str, **values: object) -> str:
        """A text with its values; numbers come formatted."""
        return self.say(text).format(**values)

    def number(self, value: float, form: str) -> str:
        """A number by Python's format, with this language's decimal sign."""
        return format(value, form).replace(".", self.point)


ENGLISH = Speech()


def who(message: StoredMessage, speech: Speech = ENGLISH) -> str:
    """Who wrote it: a role, and for an answer the model with its quant."""
    model = message.model + (
        f" ({message.quant})" if message.quant and message.quant not in message.model else ""
    )
    role = speech.say(ROLES[message.role])
    return f"{role}: {model}" if model else role


def facts(conversation: Conversation, energy: "Day | None" = None, speech: Speech = ENGLISH) -> str:
    """The day it was begun, its model, and what its answers used."""
    day = dt.datetime.fromtimestamp(conversation.created_at, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return " | ".join(filter(None, (day, conversation.model, energy_words(energy, speech))))


def energy_words(energy: "Day | None", speech: Speech = ENGLISH) -> str:
    """What the chat's answers used, "" where nothing was measured."""
    if energy is None or energy.joules is None or not energy.measured:
        return ""
    hours = speech.number(energy.joules / 3600, ".3g")
    return speech.fill(_MEASURED, energy=hours, measured=energy.measured, requests=energy.requests)


def answer_words(energy: AnswerEnergy | None, speech: Speech = ENGLISH) -> str:
    """What one answer used, "" where that is not known."""
    if energy is None:
        return ""
    words = _ENTERED if energy.entered else _ENERGY
    return speech.fill(words, energy=speech.number(energy.joules / 3600, ".3g"))


def figures(message: StoredMessage, energy: AnswerEnergy | None = None, speech: Speech = ENGLISH) -> str:
    """Tokens, speeds, energy, settings, seed and why it stopped: what is known."""
    parts: list[str] = []
    if message.usage:
        used = message.usage
        parts.append(speech.fill(_TOKENS, prompt=used.prompt, completion=used.completion))
    if message.timings:
        parts += _speeds(message.timings, speech)
    parts += filter(None, (answer_words(energy, speech),))
    if message.sampling and message.role == "assistant":
        parts += settings_of(message.sampling, speech)
    if message.seed is not None:
        parts.append(speech.fill(_SEED, seed=message.seed))
    if message.error:
        parts.append(speech.error(message.error))
    elif message.reason not in {"", "stop"}:
        parts.append(speech.say(REASONS.get(message.reason, message.reason)))
    return ", ".join(parts)


def _speeds(timings: Timings, speech: Speech) -> list[str]:
    speeds = ((_PREFILL, timings.prefill_per_second), (_DECODE, timings.decode_per_second))
    found = [speech.fill(words, speed=speech.number(speed, ".1f")) for words, speed in speeds if speed]
    return [*found, speech.fill(_FIRST, seconds=speech.number(timings.ttft, ".2f"))]


def settings_of(sampling: SamplingParams, speech: Speech = ENGLISH) -> list[str]:
    """The temperature, and what was set otherwise than usual, by llama.cpp's names."""
    usual = SamplingParams()
    parts = [speech.fill(_TEMPERATURE, value=speech.number(sampling.temperature, "g"))]
    for name in SamplingParams.__struct_fields__:
        value = getattr(sampling, name)
        if name not in {"temperature", "seed", "logprobs"} and value != getattr(usual, name):
            parts.append(
                f"{name} {speech.number(value, 'g')}" if isinstance(value, float) else f"{name} {value}"
            )
    return parts
