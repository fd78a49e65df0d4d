"""The grammar of ``hearth quantize``, ``imatrix``, ``measure``, ``compare`` and ``lab``."""

import argparse
import importlib
from collections.abc import Callable
from typing import get_args

from app.core.types import KvType

Command = Callable[[argparse.Namespace], int]
Add = Callable[..., argparse.ArgumentParser]
TEXTS = "a file, or en, vi, code (with -test: to measure on), several with +, or chats: your own"


def add_lab(add: Add) -> None:
    """Every command of the quantization lab."""
    make = add("quantize", _lazy("quantize"), "make quants of a model, with a recipe to repeat them")
    _add_quantize(make)
    matrix = add("imatrix", _lazy("imatrix"), "compute an importance matrix from a text")
    matrix.add_argument("model", metavar="MODEL", help="the one to compute it with: best in F16 or Q8_0")
    matrix.add_argument("text", metavar="TEXT", nargs="?", default="en+vi+code", help=TEXTS)
    matrix.add_argument("-o", "--output", metavar="FILE", help="where to (default: here, MODEL.imatrix.gguf)")
    one, several = _add_measuring(add)
    for parser in (make, matrix, one, several):
        parser.add_argument(
            "--chunks", type=positive, default=0, metavar="N", help="pieces of 512 tokens to use"
        )
        parser.add_argument(
            "--threads", type=positive, default=0, metavar="N", help="default: Hearth chooses"
        )
    _add_setup(add)


def _add_measuring(add: Add) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    one = add("measure", _lazy("measure"), "measure a model's perplexity and what it lost")
    one.add_argument("model", metavar="MODEL", help="as `hearth ls` names it, or a .gguf file")
    one.add_argument(
        "--against",
        metavar="REF",
        help="the finest one in the library if none is named; none: perplexity alone",
    )
    one.add_argument(
        "--ctx", type=positive, metavar="N", help="the price of N tokens of context past the trained length"
    )
    one.add_argument(
        "--rope-scaling", choices=("model", "none", "linear", "yarn"), default="model", help="with --ctx"
    )
    one.add_argument(
        "--rope-freq-scale", type=float, default=0.0, metavar="F", help="with --ctx, as 0.5 for twice"
    )
    several = add(
        "compare", _lazy("compare"), "compare quants with the first one named, or those of a repository"
    )
    several.add_argument(
        "models", metavar="MODEL", nargs="+",
        help="the reference first; OWNER/REPO is all quants of a repository, OWNER/REPO:Q8_0,Q4_K_M some of them",
    )  # fmt: skip
    several.add_argument("-y", "--yes", action="store_true", help="fetch what is not here without asking")
    for parser in (one, several):
        parser.add_argument(
            "--text", metavar="TEXT", action="append", help=f"{TEXTS}; en-test and code-test if none"
        )
        parser.add_argument(
            "--kv",
            metavar="K[,V]",
            type=kv_types,
            default=("f16", "f16"),
            help="types of the K/V cache on trial",
        )
    return one, several


def _add_quantize(make: argparse.ArgumentParser) -> None:
    make.add_argument(
        "source", metavar="SRC", nargs="?", default="",
        help="a model (best in F16, BF16 or Q8_0), OWNER/REPO[:QUANT] on the Hub, or a folder of safetensors",
    )  # fmt: skip
    make.add_argument("types", metavar="TYPE", nargs="*", help="as Q4_K_M or IQ3_XXS")
    make.add_argument("--wish", metavar="WISH", help='instead of types: "5GB", "30t/s", or "kl 0.05"')
    make.add_argument("--mix", action="store_true", help="with --wish 5GB: types by measured sensitivity")
    make.add_argument(
        "--text", metavar="TEXT", default="en-test", help=f"what a wish is measured on: {TEXTS}"
    )
    make.add_argument("--recipe", metavar="FILE", help="make the same bytes again")
    make.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
    make.add_argument(
        "--imatrix", metavar="TEXT|FILE", help=f"a matrix, or what to compute one from: {TEXTS}"
    )
    make.add_argument("--override", metavar="PAT=TYPE", action="append", default=[], help="by tensor name")
    make.add_argument("--embedding", metavar="TYPE", default="", help="of the token embeddings")
    make.add_argument("--output-type", metavar="TYPE", default="", help="of the output tensor")
    make.add_argument("--pure", action="store_true", help="the same type for every tensor")
    make.add_argument("--prune", metavar="LAYER", type=int, nargs="+", default=[], help="layers to leave out")
    make.add_argument("-o", "--output", metavar="FILE", help="of one type: where to (default: the library)")
    make.add_argument("--force", action="store_true", help="write over a result that is there")


def _add_setup(add: Add) -> None:
    lab = add("lab", _lazy("lab"), "what converting original weights needs: an environment of its own")
    lab.add_argument(
        "what", choices=("setup", "status", "remove"), metavar="setup|status|remove", help="what to do"
    )
    lab.add_argument("-y", "--yes", action="store_true", help="do not ask")
    lab.add_argument("--torch", default="", metavar="VERSION", help="another PyTorch than llama.cpp names")
    lab.add_argument("--archive", metavar="FILE", help="the engine's source archive, if it is here already")


def kv_types(text: str) -> tuple[str, str]:
    """``q8_0`` or ``q8_0,q4_0``: the types of K and V."""
    k, _, v = text.partition(",")
    known = get_args(KvType)
    if unknown := [kind for kind in (k, v or k) if kind not in known]:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]} is no type of a K/V cache; there are {', '.join(known)}"
        )
    return k, v or k


def positive(text: str) -> int:
    """A number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number above zero")
    return number


def _lazy(name: str) -> Command:
    def run(args: argparse.Namespace) -> int:
        command: Command = getattr(importlib.import_module("app.cli.lab"), name)
        return command(args)

    return run
