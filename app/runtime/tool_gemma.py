"""Gemma 4's notation of arguments, ``{city:<|"|>Huế<|"|>,days:2}``, and JSON (source: its chat template)."""

import json
import re

_QUOTE = '<|"|>'
_TOKEN = re.compile(r'<\|"\|>(.*?)<\|"\|>|([{}\[\],:])|([^{}\[\],:]+)', re.DOTALL)
_WORDS = {"None": "null", "True": "true", "False": "false"}


def to_json(text: str) -> str:
    """JSON text; what can't be read becomes an empty object's one argument, so that nothing is lost."""
    parts: list[str] = []
    for quoted, mark, bare in _TOKEN.findall(text):
        parts.append(mark or (_bare(bare) if bare else json.dumps(quoted, ensure_ascii=False)))
    found = "".join(_keys(parts))
    try:
        json.loads(found)
    except (ValueError, RecursionError):
        return json.dumps({"text": text}, ensure_ascii=False)
    return found


def _keys(parts: list[str]) -> list[str]:
    """Bare keys get quotes; a space after ``:`` and ``,`` as JSON usually has."""
    found = []
    for part, after in zip(parts, [*parts[1:], ""], strict=True):
        is_key = after == ":" and not part.startswith('"')
        found.append(json.dumps(part.strip('"')) if is_key else part + " " if part in {",", ":"} else part)
    return found


def _bare(text: str) -> str:
    text = text.strip()
    text = _WORDS.get(text, text)
    try:
        json.loads(text or "0")
    except ValueError:
        return text if re.fullmatch(r"[\w.$-]+", text) else json.dumps(text, ensure_ascii=False)
    return text
