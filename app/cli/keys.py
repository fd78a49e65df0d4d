"""``hearth keys``: the server's API keys, for machines without a window."""

import time
from argparse import Namespace

import msgspec

from app.cli.output import emit, table
from app.cli.run import services
from app.core.errors import UsageError
from app.server.keys import ApiKey, KeyStore
from app.server.usage import KeyUsage


def keys(args: Namespace) -> int:
    """List the keys with what each has used, or create or revoke one. Raises UsageError for a key that is not there."""
    with services(args) as running:
        store = running.server.keys
        if args.act == "create":
            return _create(args, store)
        if args.act == "revoke":
            return _revoke(args, store)
        used = {row.key_id: row for row in running.server.usage()}
        rows = [(key, used.get(key.id, KeyUsage(key.id))) for key in store.all()]
    emit([_plain(key, row) for key, row in rows], args.json, _text(rows))
    return 0


def _create(args: Namespace, store: KeyStore) -> int:
    if not args.name:
        raise UsageError(detail="hearth keys create NAME: say whom the key is for")
    key, text = store.create(args.name, args.rate or 0)
    emit({**_plain(key), "key": text}, args.json, f"{text}\nKeep it: it is not shown again.")
    return 0


def _revoke(args: Namespace, store: KeyStore) -> int:
    found = [key for key in store.all() if args.name in (key.id, key.name) and key.revoked_at is None]
    if len(found) != 1:
        count = "no valid key" if not found else "more than one valid key"
        raise UsageError(detail=f"there is {count} of this name or id; `hearth keys` lists them")
    store.revoke(found[0].id)
    emit(_plain(found[0]), args.json, f"{found[0].name} is revoked.")
    return 0


def _plain(key: ApiKey, used: KeyUsage | None = None) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(key)
    found.pop("hash")
    return {**found, "used": used} if used else found


def _text(rows: list[tuple[ApiKey, KeyUsage]]) -> str:
    if not rows:
        return "There are no keys: everyone who reaches the server may use it."
    lines = [
        (key.name, key.id, "revoked" if key.revoked_at else "valid", _when(key.last_used_at), str(used.requests),
         f"{used.prompt_tokens}+{used.completion_tokens}", _energy(used.joules))
        for key, used in rows
    ]  # fmt: skip
    header = ("NAME", "ID", "STATE", "LAST USED", "REQUESTS", "TOKENS", "WH")
    return table(header, lines, frozenset({4, 5, 6}))


def _when(moment: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) if moment else "-"


def _energy(joules: float | None) -> str:
    return "-" if joules is None else f"{joules / 3600:.2f}"
