"""A keyring in memory; one that does not work raises as a locked one does."""

from keyring.backend import KeyringBackend
from keyring.errors import KeyringError


class Memory(KeyringBackend):
    """Set it with ``keyring.set_keyring`` and put the old one back."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, works: bool = True) -> None:
        super().__init__()
        self.works, self.kept = works, {}

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        self.kept.pop((service, username), None)

    def _check(self) -> None:
        if not self.works:
            raise KeyringError("locked")
