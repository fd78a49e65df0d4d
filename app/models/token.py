"""The Hub token: from the environment, the system's keyring, or the Hub's own command line. Never logged.

Reading the keyring may ask the person to unlock it, so it happens once, off the GUI thread (the first Hub call).
"""

import logging
import os
import threading
from pathlib import Path
from typing import Literal

from app.core.errors import UsageError

log = logging.getLogger(__name__)

SERVICE, USER = "hearth", "huggingface"
Place = Literal["environment", "keyring", "huggingface"]


class Tokens:
    """Finds, keeps and forgets the token. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = False
        self._kept: str | None = None

    def __call__(self) -> str | None:
        """The token to send to the Hub, or None."""
        return self.find()[0]

    def find(self) -> tuple[str | None, Place | None]:
        """The token and where it is kept. HF_TOKEN wins, then what was given to Hearth, then ``hf auth login``'s."""
        named = _clean(os.environ.get("HF_TOKEN"))
        if named:
            return named, "environment"
        with self._lock:
            if not self._read:
                self._kept, self._read = _from_keyring(), True
            kept = self._kept
        if kept:
            return kept, "keyring"
        shared = _from_file()
        return (shared, "huggingface") if shared else (None, None)

    def save(self, token: str) -> None:
        """Keep it in the keyring. Raises UsageError where there is none, or for what is no token."""
        token = token.strip()
        if not token or any(sign.isspace() or not sign.isprintable() for sign in token):
            raise UsageError(detail="That is not a token: it begins with hf_ and has no spaces.")
        import keyring  # noqa: PLC0415 - 0.1 s, and it talks to the desktop
        from keyring.errors import KeyringError  # noqa: PLC0415

        try:
            keyring.set_password(SERVICE, USER, token)
        except KeyringError as error:
            detail = "This system has no keyring to keep the token in. Set HF_TOKEN instead."
            raise UsageError(detail=detail) from error
        with self._lock:
            self._kept, self._read = token, True

    def forget(self) -> None:
        """Take it out of the keyring."""
        import keyring  # noqa: PLC0415 - see save
        from keyring.errors import KeyringError  # noqa: PLC0415

        try:
            keyring.delete_password(SERVICE, USER)
        except KeyringError as error:
            log.info("no token was taken out of the keyring: %s", type(error).__name__)
        with self._lock:
            self._kept, self._read = None, True


def _from_keyring() -> str | None:
    try:
        import keyring  # noqa: PLC0415 - see Tokens.save

        return _clean(keyring.get_password(SERVICE, USER))
    except Exception as error:  # noqa: BLE001 - backends raise what they like; without a keyring we go on
        log.info("the keyring can't be read: %s", type(error).__name__)
        return None


def _from_file() -> str | None:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    place = Path(os.environ.get("HF_TOKEN_PATH") or home / "token")
    try:
        return _clean(place.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def _clean(token: str | None) -> str | None:
    return (token or "").replace("\r", "").replace("\n", "").strip() or None
