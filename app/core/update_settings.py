"""The settings of updates of the program itself, as ``settings_groups`` declares the others."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Updates(Struct, frozen=True, kw_only=True):
    """Where new versions of Hearth itself come from, and whether they are looked for."""

    look: Annotated[
        Literal["ask", "never", "day", "week", "month"],
        Meta(
            title="Look for updates",
            description="Nothing is looked for before you say so; the Help menu looks whenever you ask.",
        ),
    ] = "ask"
    address: Annotated[
        str,
        Meta(
            title="Address for updates",
            description="Where the signed list of versions is, as https://example.org/hearth. Empty: none.",
        ),
    ] = ""
    key: Annotated[
        str,
        Meta(
            title="Public key for updates",
            description="What the list must be signed by: Ed25519 in base64, one a line.",
            extra={"multiline": True},
        ),
    ] = ""
