"""The one entry point: a window, a command line or a worker, by its arguments. Imports nothing heavy."""

import sys

NEW_CHAT = "--new-chat"
"""``app.core.paths.NEW_CHAT``, which is not imported before it is known what this process is."""


def main(argv: list[str] | None = None) -> int:
    """Run Hearth and return its exit code: 0 done, 1 failed, 2 wrong usage."""
    args = sys.argv[1:] if argv is None else argv
    if args[:1] == ["worker"]:
        from app.runtime.worker import main as work  # noqa: PLC0415 - a worker loads nothing else

        return work(args[1:])
    if args[:1] == ["probe"]:
        from app.runtime.llama_probe import main as probe  # noqa: PLC0415 - loads the engine and nothing else

        return probe(args[1:])
    if args[:1] == ["rates"]:
        from app.runtime.llama_rates import main as rates  # noqa: PLC0415 - loads the engine and nothing else

        return rates(args[1:])
    if args == ["lab"]:
        from app.runtime import llama_lean  # noqa: F401, PLC0415 - before everything that it makes lighter
        from app.runtime.llama_lab import main as lab  # noqa: PLC0415 - loads the engine and nothing else

        return lab()
    if wants_window(args):
        return _window(args)
    from app.cli.interrupts import ends_at_once  # noqa: PLC0415 - the window does not need argparse

    with ends_at_once():
        from app.cli.main import main as command  # noqa: PLC0415

    return command(args)


def wants_window(args: list[str]) -> bool:
    """No argument, one that is a model file (a double click), or the menu's own: the window."""
    return not args or (len(args) == 1 and (args[0].lower().endswith(".gguf") or args[0] == NEW_CHAT))


def _window(args: list[str]) -> int:
    from app.cli.terminal import has_display, without_display  # noqa: PLC0415

    if not has_display():
        return without_display(args)
    from app.compose import compose  # noqa: PLC0415
    from app.ui.app import run  # noqa: PLC0415

    return run(compose, args)


if __name__ == "__main__":
    if getattr(sys, "frozen", False):  # elsewhere it does nothing, and costs each process 9 ms
        from multiprocessing import freeze_support

        freeze_support()
    sys.exit(main())
