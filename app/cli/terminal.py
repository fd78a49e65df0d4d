"""What happens where no window can be opened: the main job in the terminal, with the starter model."""

import os
import sys
from argparse import Namespace

from app.core.errors import HearthError, ModelNotFoundError
from app.core.paths import NEW_CHAT

STARTER = "SmolLM2-135M-Instruct"
QUESTION = "In two sentences, what is a language model?"


def has_display(environ: "os._Environ[str] | dict[str, str]" = os.environ) -> bool:
    """True when a window can be shown: always but on a Unix with neither X nor Wayland (nor a chosen platform)."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def without_display(args: list[str]) -> int:
    """Say that there is no screen, then answer a question with the starter model; go on if someone is there."""
    from app.cli.chat import chat  # noqa: PLC0415 - the window does not need it
    from app.cli.output import fail  # noqa: PLC0415

    print(
        "There is no display here, so Hearth runs in the terminal. `hearth --help` lists what else it can do.\n"
    )
    prompt = None if sys.stdin and sys.stdin.isatty() else QUESTION
    try:
        return chat(_arguments(args[0] if args and args[0] != NEW_CHAT else STARTER, prompt))
    except ModelNotFoundError:
        print(
            "The starter model is not here yet: `python3 packaging/dev.py setup` fetches it.", file=sys.stderr
        )
        return 1
    except HearthError as error:
        return fail(error, as_json=False)


def _arguments(model: str, prompt: str | None) -> Namespace:
    return Namespace(
        model=model, prompt=prompt, system="", temp=None, seed=None, max_tokens=128,
        json=False, first=QUESTION, context_policy=None,
    )  # fmt: skip
