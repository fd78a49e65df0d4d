"""What the system or a library said went wrong, in the user's language; the words as they came stay for the details."""

import re
from functools import lru_cache

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

from app.ui.lab_causes import LAB

_CAUSES: tuple[tuple[str, object], ...] = (
    (
        (
            r"name or service not known|name resolution|getaddrinfo|nodename nor servname|no such host"
            r"|name is not known|no address associated"
        ),
        QT_TRANSLATE_NOOP("Causes", "its name is not known here; perhaps this machine is not online"),
    ),
    (
        r"proxy auth|\b407\b",
        QT_TRANSLATE_NOOP("Causes", "the proxy asks for a name and a password"),
    ),
    (
        r"proxy .*is no address",
        QT_TRANSLATE_NOOP("Causes", "the proxy's address is wrong; it looks like http://host:8080"),
    ),
    (
        r"proxy .*can't be reached",
        QT_TRANSLATE_NOOP("Causes", "the proxy itself does not answer"),
    ),
    (
        r"proxy refused",
        QT_TRANSLATE_NOOP("Causes", "the proxy refused"),
    ),
    (
        r"prox(?:y|ies)\b.*not supported",
        QT_TRANSLATE_NOOP("Causes", "this kind of proxy is not supported, only http:// ones"),
    ),
    (
        r"certificate|\bssl\b|\btls\b",
        QT_TRANSLATE_NOOP("Causes", "the connection is not safe: its certificate is not trusted"),
    ),
    (
        r"connection refused|actively refused|errno (?:111|61)\b|winerror 10061",
        QT_TRANSLATE_NOOP("Causes", "nothing answers there (the connection was refused)"),
    ),
    (
        (
            r"network is unreachable|no route to host|host is (?:down|unreachable)|network is down"
            r"|unreachable (?:network|host)"
        ),
        QT_TRANSLATE_NOOP("Causes", "there is no way to it; perhaps this machine is not online"),
    ),
    (
        r"timed? ?out|no answer in time",
        QT_TRANSLATE_NOOP("Causes", "no answer came in time"),
    ),
    (
        (
            r"reset by peer|broken pipe|forcibly closed|disconnected|connection (?:was )?(?:aborted|closed|lost)"
            r"|incomplete(?:d|read)|eof occurred|peer closed"
        ),
        QT_TRANSLATE_NOOP("Causes", "the connection broke off"),
    ),
    (
        r"hf_hub_offline",
        QT_TRANSLATE_NOOP("Causes", "the variable HF_HUB_OFFLINE forbids it"),
    ),
    (
        r"no address is set",
        QT_TRANSLATE_NOOP("Causes", "no address is set"),
    ),
    (
        r"permission denied|access is denied|operation not permitted",
        QT_TRANSLATE_NOOP("Causes", "the system does not allow it"),
    ),
    (
        r"read-only file system",
        QT_TRANSLATE_NOOP("Causes", "its disk can only be read"),
    ),
    (
        r"no space left|disk quota exceeded|not enough space on the disk",
        QT_TRANSLATE_NOOP("Causes", "the disk is full"),
    ),
    (
        r"address already in use|only one usage of each socket",
        QT_TRANSLATE_NOOP("Causes", "another program uses it"),
    ),
    (
        r"cannot assign requested address|requested address is not valid",
        QT_TRANSLATE_NOOP("Causes", "this machine does not have that address"),
    ),
    (
        r"no such file or directory|cannot find the (?:file|path)",
        QT_TRANSLATE_NOOP("Causes", "there is no such file"),
    ),
    (
        r"json is malformed|missing required field|expected `|invalid enum value|input data was truncated",
        QT_TRANSLATE_NOOP("Causes", "its content does not have the form that was expected"),
    ),
    (
        r"input/output error",
        QT_TRANSLATE_NOOP("Causes", "the disk could not read or write it"),
    ),
)
"""What is known by its words, and how it is said. The first that fits is taken."""

_OURS = (
    QT_TRANSLATE_NOOP(
        "Causes",
        "{name} is neither text nor an image. Copy its text and paste it, or save it as a text file.",
    ),
    QT_TRANSLATE_NOOP("Causes", "{name} is too large to put into the prompt ({size})."),
    QT_TRANSLATE_NOOP("Causes", "{name} is too large to attach ({size} pixels)."),
    QT_TRANSLATE_NOOP("Causes", "{name} is too large to attach ({size})."),
    QT_TRANSLATE_NOOP("Causes", "{name} can't be attached: {why}."),
    QT_TRANSLATE_NOOP("Causes", "{name} can't be shown: {why}."),
    QT_TRANSLATE_NOOP("Causes", "{name} can't be read: {why}."),
    QT_TRANSLATE_NOOP("Causes", "{name} can't be read."),
    QT_TRANSLATE_NOOP("Causes", "{name} is damaged."),
    QT_TRANSLATE_NOOP("Causes", "{name} is not a text file."),
    QT_TRANSLATE_NOOP("Causes", "{name} is too large to put into a prompt."),
    QT_TRANSLATE_NOOP("Causes", "{name} is not JSON: {why}."),
    QT_TRANSLATE_NOOP("Causes", "{name} is too large to be a chat export."),
    QT_TRANSLATE_NOOP("Causes", "No chats were found in {name}."),
    QT_TRANSLATE_NOOP("Causes", "This export was written by a newer Hearth."),
    QT_TRANSLATE_NOOP("Causes", "This export is damaged: {why}."),
    QT_TRANSLATE_NOOP("Causes", "A number in these chats is too large."),
    QT_TRANSLATE_NOOP("Causes", "A prompt's name has letters, digits, spaces and dashes, 60 at most."),
    QT_TRANSLATE_NOOP("Causes", "The last answer is still being written."),
    QT_TRANSLATE_NOOP("Causes", "This answer is still being written."),
    QT_TRANSLATE_NOOP("Causes", "This answer is being written already."),
    QT_TRANSLATE_NOOP("Causes", "There is no question to answer again."),
    QT_TRANSLATE_NOOP("Causes", "There is no such conversation or message."),
    QT_TRANSLATE_NOOP("Causes", "{name} is not a folder."),
    QT_TRANSLATE_NOOP("Causes", "{name} is no longer in the bin."),
    QT_TRANSLATE_NOOP("Causes", "There is another {name} in its place."),
    QT_TRANSLATE_NOOP("Causes", "There is a profile called {name} already."),
    QT_TRANSLATE_NOOP("Causes", "{name} is not a preset this version can read."),
    QT_TRANSLATE_NOOP("Causes", "{name} is not a preset: {why}."),
    QT_TRANSLATE_NOOP("Causes", "{name} is too large to be a preset."),
    QT_TRANSLATE_NOOP("Causes", "That is not a token: it begins with hf_ and has no spaces."),
)
"""Sentences of the layers below that a window shows as an error of their own."""


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    made = []
    for template in map(str, (*_OURS, *LAB)):
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(template))
        made.append((re.compile(pattern, re.DOTALL), template))
    return made


def ours(detail: str) -> str:
    """One of our own sentences in the user's language, with its names; "" for any other text."""
    for pattern, template in _patterns():
        if found := pattern.fullmatch(detail):
            names = found.groupdict()
            if why := names.get("why"):
                names["why"] = said(why) or why
            return QCoreApplication.translate("Causes", template).format_map(names)
    return ""


def said(detail: str) -> str:
    """What ``detail`` says in the user's language; "" for what is not known by its words."""
    for pattern, words in _CAUSES:
        if re.search(pattern, detail, re.IGNORECASE):
            return QCoreApplication.translate("Causes", str(words))
    return ""
