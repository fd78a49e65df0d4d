"""Arguments to commands. Every command gets the parsed arguments and returns an exit code."""

import argparse
import importlib
import sys
from collections.abc import Callable
from typing import get_args

from app import __version__
from app.cli.interrupts import ends_at_once
from app.cli.lab_args import add_lab
from app.cli.output import fail
from app.core.errors import HearthError, SettingsError, StorageError, UsageError
from app.core.events import Bus
from app.core.generate import ContextPolicy
from app.core.paths import find_paths
from app.core.settings import SettingInfo, SettingsStore, describe

Command = Callable[[argparse.Namespace], int]

EPILOG = """Without a command the window opens. MODEL is an id, the beginning of one, or a path.
HEARTH_HOME moves all files."""
MODEL = "as `hearth ls` names it, the beginning of that, or a .gguf file"


def main(argv: list[str] | None = None) -> int:
    """Run one command: 0 done, 1 failed, 2 wrong usage."""
    args = build_parser().parse_args(argv)
    try:
        _tell_settings()
        return int(args.command(args))
    except HearthError as error:
        return fail(_named_by_flag(error, args), getattr(args, "json", False))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:  # a disk that is full, a folder that can't be written: no fault of the program
        if error.filename is None:
            raise
        return fail(StorageError(detail=f"{error.filename}: {error.strerror}."), getattr(args, "json", False))


def _tell_settings() -> None:
    """What the settings file holds that can't be: the command goes on without it."""
    for problem in SettingsStore(find_paths().settings_file, Bus()).problems:
        print(f"hearth: {problem}", file=sys.stderr)


def _named_by_flag(error: HearthError, args: argparse.Namespace) -> HearthError:
    """A setting that a flag gave is called by the flag."""
    group, _, name = str(error.params.get("key", "")).partition(".")
    known = isinstance(error, SettingsError) and group in {"engine", "server"}
    if not known or getattr(args, name, None) is None:
        return error
    flags = "/".join(_flags(name))
    return UsageError(detail=f"{flags} can't be {error.params['value']}: {error.params['detail']}.")


def build_parser() -> argparse.ArgumentParser:
    """The whole grammar of ``hearth``."""
    parser = argparse.ArgumentParser("hearth", description="Run language models at home.", epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"hearth {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_model_commands(commands)
    _add_chat(commands)
    _add_serve(commands)
    _add_bench(commands)
    add_lab(_adder(commands))
    add = _adder(commands)
    add("ps", _lazy("serve", "ps"), "what is loaded and served now")
    seen = add("doctor", _lazy("doctor", "doctor"), "what was found on this machine, and how it was learned")
    seen.add_argument(
        "--bundle", metavar="FILE.zip", help="write logs and versions for a bug report, scrubbed"
    )
    packs = add(
        "engine", _lazy("engine", "engine"), "list, install, remove and choose backend packs (GPU engines)"
    )
    packs.add_argument(
        "what",
        choices=("list", "install", "remove", "use"),
        metavar="list|install|remove|use",
        help="what to do",
    )
    packs.add_argument(
        "name", nargs="?", metavar="PACK|FILE|URL", help="use takes cpu, auto and previous as well"
    )
    packs.add_argument("--backend", help="whose previous pack to use")
    newer = add(
        "update", _lazy("update", "update"), "install a newer Hearth from the address in the settings"
    )
    newer.add_argument("--check", action="store_true", help="look and show the notes; install nothing")
    newer.add_argument("--rollback", action="store_true", help="go back to the version before this one")
    newer.add_argument("-y", "--yes", action="store_true", help="do not ask")
    return parser


def _adder(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> Callable[..., argparse.ArgumentParser]:
    def add(name: str, command: Command, text: str, *, json: bool = True) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        parser.set_defaults(command=command)
        if json:
            parser.add_argument("--json", action="store_true", help="print JSON")
        return parser

    return add


def _add_model_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    add = _adder(commands)
    search = add("search", _lazy("hub", "search"), "search the Hub for GGUF models")
    search.add_argument("query", metavar="QUERY", nargs="*", help="words, user/model, or a Hub address")
    search.add_argument("--limit", type=_positive, default=20, help="at most so many (default 20)")
    _add_filters(search)
    pull = add("pull", _lazy("hub", "pull"), "download a model")
    pull.add_argument(
        "target", metavar="REPO[:QUANT]", help="or the address of a repository or file on the Hub"
    )
    pull.add_argument("--no-mmproj", action="store_true", help="leave the vision projector out")
    listed = add("ls", _lazy("models", "ls"), "list the models on this machine")
    listed.add_argument("words", metavar="WORD", nargs="*", help="in names, #tags or notes")
    listed.add_argument(
        "--sort",
        choices=("name", "size", "used", "added"),
        default="name",
        help="what comes first (default name)",
    )
    show = add("show", _lazy("models", "show"), "show one model")
    show.add_argument("model", metavar="MODEL", help=MODEL)
    remove = add("rm", _lazy("models", "rm"), "delete a model's files")
    remove.add_argument("model", metavar="MODEL", help=MODEL)
    remove.add_argument("-y", "--yes", action="store_true", help="do not ask")
    check = add(
        "verify", _lazy("models", "verify"), "read a model's files and compare with its download's hashes"
    )
    check.add_argument("model", metavar="MODEL", help=MODEL)
    _add_advice(add)
    kept = add(
        "presets", _lazy("presets", "presets"), "list, show, export, import and remove profiles of models"
    )
    acts = ("list", "show", "export", "import", "remove")
    kept.add_argument("act", nargs="?", choices=acts, default="list", help="what to do (default list)")
    kept.add_argument("words", nargs="*", metavar="NAME|FILE", help="export takes both")
    add_file = add("import", _lazy("models", "import_file"), "add a GGUF file to the library")
    add_file.add_argument("file", metavar="FILE", help="linked where the disk is the same, else copied")


def _add_advice(add: Callable[..., argparse.ArgumentParser]) -> None:
    need = add("estimate", _lazy("estimate", "estimate"), "what a model would need here, before a download")
    need.add_argument(
        "target", metavar="REPO[:QUANT]|MODEL|FILE", help="on the Hub, in the library, or a .gguf file"
    )
    need.add_argument("--measure", action="store_true", help="measure this machine first (under a minute)")
    need.add_argument("--what-if-gpu", type=float, metavar="GIB", help="with another GPU of this much memory")
    need.add_argument("--what-if-ram", type=float, metavar="GIB", help="with this much more main memory")
    _add_load(need)
    words = add("explain", _lazy("models", "explain"), "say what a quant's name means")
    words.add_argument("quant", metavar="QUANT", help="as Q4_K_M")


def _add_filters(search: argparse.ArgumentParser) -> None:
    sorts = ("match", "trending", "downloads", "likes", "updated")
    search.add_argument("--sort", choices=sorts, default="match", help="what comes first (default match)")
    for name, text in (
        ("task", "as text-generation"),
        ("license", "as apache-2.0"),
        ("architecture", "as qwen3"),
    ):
        search.add_argument(f"--{name}", default="", help=text)
    search.add_argument("--author", default="", help="the publisher's name")
    search.add_argument("--min", type=float, metavar="B", help="at least so many billion parameters")
    search.add_argument("--max", type=float, metavar="B", help="at most so many billion parameters")
    search.add_argument(
        "--gated", action=argparse.BooleanOptionalAction, help="only with, or without, a licence to accept"
    )
    search.add_argument("--qat", action="store_true", help="only models trained for their quantization")
    search.add_argument("--fits", action="store_true", help="only what fits this machine's memory")


def _add_chat(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    chat = _adder(commands)("chat", _lazy("chat", "chat"), "talk to a model in the terminal")
    chat.add_argument("model", metavar="MODEL", help=MODEL)
    chat.add_argument(
        "-p", "--prompt", help="ask this once; without it a conversation, or the standard input"
    )
    chat.add_argument(
        "--image",
        metavar="FILE",
        action="append",
        default=[],
        help="show this image with the first question (more than once for several)",
    )
    chat.add_argument("--system", default="", help="system prompt")
    chat.add_argument("--temp", type=float, help="temperature")
    chat.add_argument("-n", "--max-tokens", type=_positive, help="longest answer, in tokens")
    chat.add_argument(
        "--context-policy",
        choices=get_args(ContextPolicy),
        help="when the context is full: stop, drop the middle, or leave out what is oldest",
    )
    _add_load(chat)


FLAGS = {
    "n_ctx": ("-c", "--ctx", "--ctx-size"),
    "n_gpu_layers": ("-ngl", "--gpu-layers", "--n-gpu-layers"),
    "n_threads": ("-t", "--threads"),
    "n_threads_batch": ("-tb", "--threads-batch"),
    "n_parallel": ("-np", "--parallel"),
    "kv_type": ("--kv", "-ctk", "--cache-type-k"),
    "v_type": ("-ctv", "--v-type", "--cache-type-v"),
    "flash_attn": ("-fa", "--flash-attn"),
    "n_cpu_moe": ("-ncmoe", "--n-cpu-moe"),
    "tensor_overrides": ("-ot", "--tensor-overrides", "--override-tensor"),
    "devices": ("-dev", "--devices", "--device"),
    "split_mode": ("-sm", "--split-mode"),
    "tensor_split": ("-ts", "--tensor-split"),
    "main_gpu": ("-mg", "--main-gpu"),
    "offload_kqv": ("--offload-kqv", "--kv-offload"),
    "kv_unified": ("--kv-unified", "-kvu"),
    "cache_ram_mb": ("--cache-ram-mb", "--cache-ram", "-cram"),
    "n_batch": ("-b", "--batch", "--batch-size"),
    "n_ubatch": ("-ub", "--ubatch", "--ubatch-size"),
    "use_mmap": ("--use-mmap", "--mmap"),
    "use_mlock": ("--use-mlock", "--mlock"),
    "adapters": ("--adapters", "--lora"),
    "mmproj": ("--mmproj", "-mm"),
}
"""Where a flag is not the setting's own name: llama.cpp's are understood too."""
ALL_LAYERS = 1000
KINDS = {"int": int, "float": float, "text": str, "choice": str}


def _add_load(parser: argparse.ArgumentParser) -> None:
    """One flag for every setting of the engine, from its declaration."""
    group = parser.add_argument_group("loading (what is not given comes from the settings)")
    group.add_argument("--preset", metavar="NAME", help="load and answer as this profile says")
    for info in describe():
        if info.group == "engine":
            _add_flag(group, info)
    group.add_argument(
        "-cmoe", "--cpu-moe", dest="n_cpu_moe", action="store_const", const=ALL_LAYERS,
        help="the experts of all layers stay off the GPU",
    )  # fmt: skip


def _add_flag(group: "argparse._ArgumentGroup", info: SettingInfo) -> None:
    name = info.key.partition(".")[2]
    flags, text = _flags(name), info.help.replace("%", "%%")
    if info.kind == "bool":
        group.add_argument(*flags, dest=name, action=argparse.BooleanOptionalAction, help=text)
    else:
        choices = info.choices or None
        metavar = None if choices else info.kind.upper()
        group.add_argument(
            *flags, dest=name, type=KINDS[info.kind], choices=choices, metavar=metavar, help=text
        )


def _flags(name: str) -> tuple[str, ...]:
    return FLAGS.get(name, (f"--{name.removeprefix('n_').replace('_', '-')}",))


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = _adder(commands)(
        "serve", _lazy("serve", "serve"), "serve the OpenAI API without a window", json=False
    )
    serve.add_argument("--host", help="default 127.0.0.1: this machine only")
    serve.add_argument("--port", type=int, help="default 8177 or as set; 0 takes any free one")
    serve.add_argument("--model", help="load this model at once; others load when asked for")
    serve.add_argument("--api-key", help="clients must send this key")
    serve.add_argument(
        "--log-prompts", action="store_true", default=None, help="show the beginning of each prompt"
    )
    _add_load(serve)
    keys = _adder(commands)("keys", _lazy("keys", "keys"), "list, create and revoke the server's API keys")
    acts = ("list", "create", "revoke")
    keys.add_argument("act", nargs="?", choices=acts, default="list", help="what to do (default list)")
    keys.add_argument(
        "name", nargs="?", metavar="NAME", help="whom a new key is for; the name or id of one to revoke"
    )
    keys.add_argument("--rate", type=_positive, metavar="N", help="a new key's requests a minute")


def _add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bench = _adder(commands)("bench", _lazy("bench", "bench"), "measure a model's speed here")
    bench.add_argument("model", metavar="MODEL", help=MODEL)
    bench.add_argument("--prompt-tokens", type=_positive, default=512, help="read so many (default 512)")
    bench.add_argument("-n", "--max-tokens", type=_positive, default=128, help="write so many (default 128)")
    bench.add_argument(
        "--repeat", type=_positive, default=3, help="runs, of which the median counts (default 3)"
    )
    _add_load(bench)


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _lazy(module: str, name: str) -> Command:
    """A command whose module is imported when it runs: ``hearth --help`` loads none of them."""

    def run(args: argparse.Namespace) -> int:
        with ends_at_once():
            command = getattr(importlib.import_module(f"app.cli.{module}"), name)
        return int(command(args))

    return run
