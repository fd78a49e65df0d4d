"""Summaries of single messages, written by the model: they take the message's place in the window, not in the chat."""

import re

from app.chat.store_types import StoredMessage
from app.core.generate import GenerateRequest, Message, ReasoningOptions, SamplingParams

_INSTRUCTION = (
    "Summarise the following text in its own language, in a few sentences. Keep names, numbers and decisions. Answer"
    " with the summary alone."
)
_ASKED_LETTERS = 24_000
_TOKENS = 256
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


def request(request_id: str, message: StoredMessage) -> GenerateRequest:
    """Ask a model for a summary of what a message (with its files) says, behind everything else in the queue."""
    whole = "\n\n".join([*(file.text for file in message.attachments if file.text), message.text])
    return GenerateRequest(
        id=request_id,
        messages=(Message("user", f"{_INSTRUCTION}\n\n{whole[:_ASKED_LETTERS]}"),),
        sampling=SamplingParams(temperature=0.2, max_tokens=_TOKENS),
        reasoning=ReasoningOptions(enabled=False),
        priority=-1,
    )


def from_answer(answer: str, original: str) -> str:
    """The summary in a model's answer, or an empty text: one that is no shorter than the original is none."""
    text = _THOUGHT.sub("", answer).strip()
    return text if text and (not original or len(text) < len(original)) else ""
