"""``hearth doctor --bundle``: one zip for a bug report, with versions, findings, settings and logs.

No chats, no prompts, no tokens, no names: what could be one is replaced before it is written. The user can read it all
before sending it to anyone; nothing is sent from here.
"""

import getpass
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from app.compose import Services
from app.core.errors import ChosenReadOnlyError

MOST_LOG_BYTES = 512 << 10
"""Of each log the end counts."""
SECRETS = (
    (re.compile(r"\b(hf|sk|gh[a-z]|glpat|xox[a-z]|AKIA)[-_][A-Za-z0-9_-]{6,}"), "<token>"),
    (re.compile(r"(?i)\b(bearer|basic)\s+\S+"), r"\1 <token>"),
    (re.compile(r"(?i)\b(token|api[-_]?key|authorization)([\"']?\s*[:=]\s*|\s+)\S+"), r"\1 <token>"),
    (re.compile(r"(?i)(password|passwd|secret)([\"']?\s*[:=]\s*)\S+"), r"\1\2<secret>"),
    (re.compile(r"(\w+://)[^/\s:@]+:[^/\s@]+@"), r"\1<user>@"),
    (re.compile(r"(?i)([?&](x-amz-|signature|sig|key|token|policy|expires)[^=\s]*=)[^&\s\"']+"), r"\1<removed>"),
    (re.compile(r"\b[A-Za-z0-9+/_-]{40,}={0,2}(?![0-9a-f])"), "<long>"),
)  # fmt: skip
TALK = re.compile(r"(?i)\"?(content|prompt|messages|text|input|system|answer|query|title)\"?\s*[:=]")
"""A line that may quote a person or a model."""
KEPT_LONG = re.compile(r"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b")
"""Hashes of commits and files tell nothing of a person."""


def write_bundle(running: Services, findings: object, target: Path) -> Path:
    """Write the zip; returns its path. Raises ChosenReadOnlyError."""
    target = target.expanduser().absolute()
    parts = {
        "doctor.json": json.dumps(msgspec.to_builtins(findings), indent=2),
        "settings.json": json.dumps(settings(running), indent=2),
        "packs.json": json.dumps(msgspec.to_builtins(running.packs.packs()), indent=2),
        **dict(_logs(running.paths.logs)),
    }
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in parts.items():
                archive.writestr(name, scrub(text))
    except OSError as error:
        raise ChosenReadOnlyError(path=str(target)) from error
    return target


def settings(running: Services) -> dict[str, object]:
    """Those that the user changed, by name; texts only as "set": they may be private."""
    from app.core.settings import Settings, describe  # noqa: PLC0415

    usual, found = Settings(), dict[str, object]()
    for info in describe():
        group, _, name = info.key.partition(".")
        value = running.settings.get(info.key)
        if value != getattr(getattr(usual, group), name):
            found[info.key] = "set" if info.kind == "text" or info.secret else value
    return found


def _logs(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted([*folder.glob("*.log"), *folder.glob("*.txt"), *folder.glob("*/*.log")]):
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - MOST_LOG_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            continue
        yield f"logs/{path.relative_to(folder).as_posix()}", quiet(text)


def quiet(text: str) -> str:
    """Without the lines that may quote what somebody wrote."""
    return "\n".join("<line left out>" if TALK.search(line) else line for line in text.splitlines()) + "\n"


def scrub(text: str) -> str:
    """Without tokens, passwords, signed addresses, the home folder and the user's name."""
    hashes: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        hashes.append(found[0])
        return f"\0{len(hashes) - 1}\0"

    text = KEPT_LONG.sub(put_aside, text)
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    text = text.replace(str(Path.home()), "~")
    user = _user()
    if len(user) > 2 and user != "root":
        text = re.sub(rf"\b{re.escape(user)}\b", "<user>", text)
    return re.sub("\0(\\d+)\0", lambda found: hashes[int(found[1])], text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
