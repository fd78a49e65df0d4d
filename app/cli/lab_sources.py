"""What the lab's commands are given: models, repositories, folders of original weights, and texts."""

import sys
from pathlib import Path

from app.compose import Services
from app.core.errors import ModelNotFoundError, UsageError
from app.core.lab import LabProgress
from app.models.hub import parse_address
from app.optimize import sources, texts
from app.optimize.converter import Converter

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
    show = Progress(f"{chosen.id}, MiB:", not quiet)
    path = sources.fetch(running.hub, chosen, running.paths.models, tell=show)
    show.end()
    if path.is_dir():
        return _converted(running, path, quiet)
    running.library.adopt([path.with_name(part.name) for part in chosen.files])
    return path


def _converted(running: Services, folder: Path, quiet: bool) -> Path:
    target = running.paths.models / "lab" / folder.name / f"{folder.name}.gguf"
    if not target.exists() or _changed(folder, target):
        show = Progress(f"Converting {folder.name}, %:", not quiet)
        Converter(running.paths.data / "lab" / "converter").convert(folder, target, tell=show)
        show.end()
        running.library.adopt([target])
    return target


def _changed(folder: Path, target: Path) -> bool:
    """Whether the weights are newer than what was made of them, or of another folder of that name."""
    return max(path.stat().st_mtime for path in folder.glob("*.safetensors")) > target.stat().st_mtime
