"""The active path of a conversation as Markdown or as one HTML page that needs nothing else."""

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from app.chat import markdown_html
from app.chat.answer_energy import AnswerEnergy
from app.chat.store_types import Attachment, Conversation, StoredMessage
from app.chat.transfer_words import CHAT, ENGLISH, THINKING, Speech, facts, figures, who

if TYPE_CHECKING:
    from app.planning.usage import Day

_STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1e;
  background: #fff; }
header { border-bottom: 1px solid #ccc; margin-bottom: 1.5rem; }
article { margin: 1.2rem 0; padding: .8rem 1rem; border-radius: .6rem; background: #f4f4f6; }
article.user { background: #e8f0fe; }
h2 { font-size: .85rem; margin: 0 0 .4rem; color: #55555c; }
p { margin: .4rem 0; overflow-wrap: anywhere; }
.typed, details p, header p { white-space: pre-wrap; }
blockquote { margin: .4rem 0; padding-left: .8rem; border-left: 3px solid #bbb; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #ccc; text-align: left; }
pre { overflow-x: auto; background: #fff; padding: .7rem; border-radius: .4rem; border: 1px solid #ddd; }
img { max-width: 100%; max-height: 30rem; border-radius: .4rem; }
footer, details { font-size: .8rem; color: #55555c; }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #1c1c1e; } article { background: #2a2a2d; } article.user { background: #243349; }
  pre { background: #1c1c1e; border-color: #444; } h2, footer, details { color: #a5a5ad; }
}
@media print { article { break-inside: avoid; } }
"""


Data = Callable[[int], bytes]
"""The bytes of an attachment, by its id."""
Answers = Mapping[int, AnswerEnergy]
"""The energy of the answers of which it is known, by their ids."""


def to_markdown(
    conversation: Conversation,
    messages: Sequence[StoredMessage],
    energy: "Day | None" = None,
    data: Data | None = None,
    answers: Answers | None = None,
    speech: Speech = ENGLISH,
) -> str:
    """A document with a heading per message, a line of figures below each answer, and the energy of the chat and of
    its ``answers`` where it was measured. Pictures stand at the end as data: references; without ``data`` only their
    names do."""
    pictures: list[str] = []
    parts = [f"# {conversation.title or speech.say(CHAT)}", facts(conversation, energy, speech)]
    if conversation.system:
        parts.append("> " + conversation.system.replace("\n", "\n> "))
    for message in messages:
        parts.append(f"## {who(message, speech)}")
        if message.reasoning:
            parts.append(
                f"<details><summary>{speech.say(THINKING)}</summary>\n\n{message.reasoning}\n\n</details>"
            )
        for file in message.attachments:
            if url := data_url(file, data):
                pictures.append(f"[picture-{file.id}]: {url}")
                parts.append(f"![{_flat(file.name)}][picture-{file.id}]")
            else:
                parts.append(f"*[{file.name}]*")
        parts.append(message.text)
        parts += [f"`{call.name}({call.arguments})`" for call in message.tool_calls]
        if line := figures(message, (answers or {}).get(message.id), speech):
            parts.append(f"*{line}*")
    return "\n\n".join(part for part in (*parts, "\n".join(pictures)) if part) + "\n"


def data_url(file: Attachment, data: Data | None) -> str:
    """A picture as a data: URL; empty for other files, and without ``data``."""
    if file.kind != "image" or data is None:
        return ""
    return f"data:{file.mime};base64,{base64.b64encode(data(file.id)).decode()}"


def _flat(name: str) -> str:
    return "".join(" " if letter in "[]\r\n" else letter for letter in name)


def to_html(
    conversation: Conversation,
    messages: Sequence[StoredMessage],
    energy: "Day | None" = None,
    data: Data | None = None,
    answers: Answers | None = None,
    speech: Speech = ENGLISH,
) -> str:
    """The same as a page without scripts and without anything fetched; every text is escaped, and pictures are in
    it."""
    title = html.escape(conversation.title or speech.say(CHAT))
    body = "\n".join(_article(message, data, (answers or {}).get(message.id), speech) for message in messages)
    system = f"<p>{html.escape(conversation.system)}</p>" if conversation.system else ""
    about = html.escape(facts(conversation, energy, speech))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>\n<style>{_STYLE}</style></head>\n'
        f"<body><header><h1>{title}</h1>{system}<p>{about}</p></header>\n{body}\n"
        f"</body></html>\n"
    )


def _file(file: Attachment, data: Data | None) -> str:
    name = html.escape(file.name)
    url = data_url(file, data)
    return f'<p><img src="{html.escape(url)}" alt="{name}"></p>' if url else f"<p>[{name}]</p>"


def _article(message: StoredMessage, data: Data | None, energy: AnswerEnergy | None, speech: Speech) -> str:
    thinking = (
        f"<details><summary>{html.escape(speech.say(THINKING))}</summary><p>{html.escape(message.reasoning)}</p></details>"
        if message.reasoning
        else ""
    )
    files = "".join(_file(file, data) for file in message.attachments)
    calls = "".join(
        f"<pre><code>{html.escape(f'{call.name}({call.arguments})')}</code></pre>"
        for call in message.tool_calls
    )
    line = figures(message, energy, speech)
    footer = f"<footer>{html.escape(line)}</footer>" if line else ""
    head = f'<article class="{message.role}"><h2>{html.escape(who(message, speech))}</h2>'
    text = markdown_html.to_html(message.text) if message.role == "assistant" else _typed(message.text)
    return f"{head}{thinking}{files}{text}{calls}{footer}</article>"


def _typed(text: str) -> str:
    """What a person wrote, line by line as they did."""
    return f'<p class="typed">{html.escape(text.strip())}</p>' if text.strip() else ""
