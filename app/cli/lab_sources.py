"""What the lab's commands are given: models, repositories, folders of original weights, and texts."""

import sys
from collections.abc import Sequence
from pathlib import Path

from app.cli.output import size
from app.compose import Services
from app.core.errors import (
    ConverterMissingError,
    HubNoSuchFileError,
    HubNotFoundError,
    HubUnreachableError,
    LabDiskFullError,
    ModelNotFoundError,
    UsageError,
)
from app.core.lab import LabProgress
from app.models.hub import QuantFile, parse_address
from app.optimize import sources, texts
from app.optimize.converter import Converter, place_for
from app.optimize.references import Offered, offer, offered
from app.optimize.sizes import free_space

CHATS = "chats"


class Progress:
    """A line on a terminal that is written over; nothing elsewhere, but how a process died."""

    def __init__(self, what: str, wanted: bool) -> None:
        self._what, self._shown = what, wanted and sys.stderr.isatty()

    def __call__(self, progress: LabProgress) -> None:
        """Show it."""
        self.about(self._what, progress)

    def about(self, what: str, progress: LabProgress) -> None:
        """Show it with these words before."""
        if progress.crashed:
            print(f"hearth: the work ended ({progress.crashed}) and is done once more", file=sys.stderr)
        elif self._shown:
            text = f"{what} {progress.done} of {progress.total} {progress.what}"
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Wipe the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def existing(path: str | Path) -> Path:
    """A file that is there. Raises UsageError."""
    found = Path(path).absolute()
    if not found.is_file():
        raise UsageError(detail=f"There is no file {found}.")
    return found


def text_of(running: Services, name: str) -> Path:
    """``en``, ``en+vi``, a file, or ``chats``: what the user said in this program, only because they ask for it."""
    folder = running.paths.data / "lab" / "texts"
    if name != CHATS:
        return texts.find_all(name.split("+") if not Path(name).is_file() else [name], folder)
    chats = [running.chats.messages(found.id) for found in running.chats.conversations()]
    return texts.write(texts.of_chats(chats), folder, CHATS)


def source_of(running: Services, name: str, *, quiet: bool) -> Path:
    """A GGUF file: named, of the library, downloaded from the Hub, or converted from a folder."""
    path = Path(name)
    if path.suffix.lower() == ".gguf" and path.exists():
        return path.absolute()
    if path.is_dir():
        return _converted(running, path.absolute(), quiet)
    try:
        return Path(running.library.get(name).files[0].path)
    except ModelNotFoundError:
        if (address := parse_address(name, running.hub.endpoint)) is None:
            raise
        return _downloaded(running, address.repo, address.quant or "", quiet)


def _downloaded(running: Services, repo: str, quant: str, quiet: bool) -> Path:
    chosen = sources.best_source(running.hub.repo(repo), quant)
    if chosen.quant == "safetensors" and not _converter(running).state().ready:
        raise ConverterMissingError  # before gigabytes are fetched for nothing
    if (one := offer(chosen, running.paths.models)).missing:
        print(f"hearth: {_to_fetch(running, [one])}", file=sys.stderr)
    return _fetched(running, chosen, quiet)


def _fetched(running: Services, chosen: QuantFile, quiet: bool) -> Path:
    show = Progress(f"{chosen.id}, MiB:", not quiet)
    path = sources.fetch(running.hub, chosen, running.paths.models, tell=show)
    show.end()
    if path.is_dir():
        return _converted(running, path, quiet)
    running.library.adopt([path.with_name(Path(part.name).name) for part in chosen.files])
    return path


def _converted(running: Services, folder: Path, quiet: bool) -> Path:
    target, made = place_for(folder, running.paths.models / "lab")
    if not made:
        show = Progress(f"Converting {folder.name}, %:", not quiet)
        _converter(running).convert(folder, target, tell=show)
        show.end()
        running.library.adopt([target])
    return target


def _converter(running: Services) -> Converter:
    return Converter(running.paths.data / "lab" / "converter")


# ------------------------------------------------------------------ several


def compared(running: Services, names: Sequence[str], *, yes: bool, quiet: bool) -> list[Path]:
    """The files to compare, the reference first. A repository stands for all its quants, the finest first, and
    ``OWNER/REPO:Q8_0,Q4_K_M`` for some; what is not here is told with its size, agreed to and fetched. Raises
    UsageError, LabDiskFullError and what the Hub and a transfer raise."""
    found = [one for name in names for one in _named(running, name)]
    missing = [one for one in found if isinstance(one, Offered) and one.missing]
    if missing:
        print(f"hearth: {_to_fetch(running, missing)}", file=sys.stderr)
        if not yes and not agree():
            raise UsageError(detail="Nothing was fetched or measured.")
    paths = [_here(running, one, quiet) for one in found]
    if len(paths) < 2:
        raise UsageError(
            detail="Name two models or more, the reference first, or a repository with several quants."
        )
    return paths


def _named(running: Services, name: str) -> Sequence[str | Offered]:
    """A name as it is, or the quants of the repository it means."""
    repo, _, quants = name.partition(":") if "://" not in name else (name, "", "")
    address = parse_address(repo, running.hub.endpoint)
    whole = not quants and address is not None and not address.quant and not address.file
    if Path(name).exists() or address is None or not (whole or quants):
        return [name]
    records = [record for record in running.library.records() if not record.damaged]
    wanted = quants.split(",") if quants else []
    known = {record.id.casefold() for record in records}
    if wanted and all(f"{address.repo}:{quant}".casefold() in known for quant in wanted):
        return [f"{address.repo}:{quant}" for quant in wanted]  # without asking the Hub
    try:
        there = offered(running.hub.repo(address.repo), running.paths.models, records)
    except (HubUnreachableError, HubNotFoundError) as error:
        mine = [record for record in records if record.source and record.source.repo == address.repo]
        here = [record.id for record in sorted(mine, key=lambda record: -record.bytes)]
        made_here = (
            isinstance(error, HubNotFoundError) and here
        )  # lab/NAME: no repository but a folder of ours
        if wanted or not (made_here or len(here) > 1):
            raise
        return here
    return _picked(address.repo, there, wanted) if wanted else there


def _picked(repo: str, there: Sequence[Offered], wanted: Sequence[str]) -> list[Offered]:
    by_quant = {one.file.quant.casefold(): one for one in there}
    if unknown := [quant for quant in wanted if quant.casefold() not in by_quant]:
        found = ", ".join(one.file.quant for one in there)
        raise HubNoSuchFileError(repo=repo, wanted=unknown[0], found=found or "-")
    return [by_quant[quant.casefold()] for quant in wanted]


def _here(running: Services, one: str | Offered, quiet: bool) -> Path:
    if isinstance(one, str):
        return source_of(running, one, quiet=quiet)
    return _fetched(running, one.file, quiet) if one.missing else Path(one.path)


def _to_fetch(running: Services, missing: Sequence[Offered]) -> str:
    """What is fetched, told before. Raises LabDiskFullError."""
    total, free = sum(one.missing for one in missing), free_space(running.paths.models)
    if total > free:
        raise LabDiskFullError(path=str(running.paths.models), missing=size(total - free))
    each = ", ".join(f"{one.file.id} ({size(one.missing)})" for one in missing)
    return f"{size(total)} to fetch, {size(free)} free on the disk: {each}"


def agree() -> bool:
    """Ask whether to go on. Raises UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError(detail="Add --yes to go on without being asked.")
    return input("Go on? [y/N] ").strip().lower() in {"y", "yes"}
