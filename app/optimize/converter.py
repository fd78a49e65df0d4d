"""From a Hugging Face folder of safetensors to GGUF, with the converter of the very llama.cpp that the engine is.

llama.cpp's converter needs PyTorch and Transformers, which are larger than this whole program: they go into a separate
environment, made when somebody asks for it (``hearth lab setup``), never into the program's own. The converter itself
comes out of the engine's own source archive.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from app.core.errors import (
    ConverterMissingError,
    HearthError,
    LabDiskFullError,
    LabRefusedError,
    LabStoppedError,
    NotConvertibleError,
)
from app.core.lab import LabProgress
from app.optimize.originals import check_folder
from app.optimize.process import LabCancelledError
from app.optimize.sizes import free_space, short_of
from app.planning.outlook import engine_version

PACKAGE = "llama-cpp-python"
TOOLS = ("convert_hf_to_gguf.py", "conversion/", "gguf-py/", "requirements/")
"""What is taken out of the source archive's ``vendor/llama.cpp``."""
REQUIREMENTS = ("requirements-convert_legacy_llama.txt", "requirements-convert_hf_to_gguf.txt")
OUT_TYPES = ("auto", "bf16", "f16", "f32", "q8_0")
DOWNLOAD, DISK, SECONDS = 480_000_000, 1_600_000_000, (90, 600)
"""About, with PyTorch for processors alone: the archive, PyTorch and 25 packages; seen: 1.3 GB on the disk."""
DISK_WITH_CUDA = 5_500_000_000
"""With the PyTorch for NVIDIA's cards, which the package index has for Linux; seen: 5.1 GB."""
NEWEST = ("python3.13", "python3.12", "python3.11", "python3.10", "python3", "python")
TOKENIZERS = ("tokenizer.json", "tekken.json", "*vocab*", "*.model", "*.tiktoken")
_WRITING = re.compile(r"Writing:\s+(\d+)%")
_BAR = re.compile(r"\d+%\|")
_FOREIGN = re.compile(r"Model (\S+) is not supported")
_LAST = 400

Say = Callable[[str], None]


class Setup(Struct, frozen=True):
    """The converter's environment: whether it is there, and what making it takes (bytes, seconds from and to)."""

    folder: str
    ready: bool
    python: str
    version: str
    torch: str = ""
    download: int = DOWNLOAD
    disk: int = DISK
    seconds: tuple[int, int] = SECONDS


class _Ready(Struct, frozen=True):
    version: str
    torch: str
    bytes: int


class Converter:
    """The environment in ``folder``, one for each version of the engine."""

    def __init__(self, folder: Path) -> None:
        self.version = engine_version()
        self._folder = folder / self.version
        self._mark = self._folder / "ready.json"

    def state(self) -> Setup:
        """What there is, without starting anything."""
        with suppress(OSError, msgspec.MsgspecError):
            ready = msgspec.json.decode(self._mark.read_bytes(), type=_Ready)
            return Setup(
                str(self._folder), True, find_python(), self.version, ready.torch, 0, ready.bytes, (0, 0)
            )
        return Setup(str(self._folder), False, find_python(), self.version)

    def set_up(
        self,
        say: Say = print,
        cancel: threading.Event | None = None,
        *,
        torch: str = "",
        archive: Path | None = None,
    ) -> Setup:
        """Make the environment; nothing half is left. ``torch``: another version than the one llama.cpp names, as
        2.13.0+cpu; ``archive``: the engine's source archive, where it need not be fetched. Raises LabRefusedError (no
        Python), LabDiskFullError, LabStoppedError with the installer's last words, LabCancelledError."""
        if self.state().ready:
            return self.state()
        python = find_python()
        if not python:
            raise LabRefusedError(detail="converting needs Python 3.10 or newer on this machine: install one")
        missing = DISK + DOWNLOAD - free_space(self._folder)
        if missing > 0:
            raise LabDiskFullError(path=str(self._folder), missing=short_of(missing))
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        try:
            self._make(python, say, cancel, torch, archive)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self.state()

    def remove(self) -> None:
        """Delete the environment."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(
        self, python: str, say: Say, cancel: threading.Event | None, torch: str, archive: Path | None
    ) -> None:
        say(f"Making an environment in {self._folder}")
        _run([python, "-m", "venv", str(self._folder / "venv")], cancel)
        say(f"Unpacking {archive}" if archive else f"Fetching the source archive of {PACKAGE} {self.version}")
        self._unpack(archive or self._fetch(cancel))
        say("Installing PyTorch, Transformers and what they need")
        wanted = requirements(self._folder / "llama.cpp" / "requirements", torch)
        listed = self._folder / "requirements.txt"
        self._install(listed, wanted, cancel, say)
        say("Trying it out")
        _run([*self._script(), "--help"], cancel)
        found = _run([str(self._python()), "-c", "import torch; print(torch.__version__)"], cancel)
        size = sum(path.lstat().st_size for path in self._folder.rglob("*"))
        self._mark.write_bytes(msgspec.json.encode(_Ready(self.version, found.split()[-1], size)))

    def _install(self, listed: Path, wanted: Sequence[str], cancel: threading.Event | None, say: Say) -> None:
        """PyTorch for processors alone where it is to be had; where it is not, that is said before the other comes."""
        command, lean = [*self._pip(), "install", "--no-input", "-r", str(listed)], processors_alone(wanted)
        listed.write_text("\n".join(lean) + "\n", encoding="utf-8")
        try:
            _run(command, cancel)
        except LabStoppedError:
            if lean == list(wanted):
                raise
            missing = DISK_WITH_CUDA - free_space(self._folder)
            if missing > 0:
                raise LabDiskFullError(path=str(self._folder), missing=short_of(missing)) from None
            say(
                f"PyTorch for processors alone is not to be had here: the one for NVIDIA's cards comes instead, with"
                f" about {DISK_WITH_CUDA / 1e9:.1f} GB on the disk"
            )
            listed.write_text("\n".join(wanted) + "\n", encoding="utf-8")
            _run(command, cancel)

    def _fetch(self, cancel: threading.Event | None) -> Path:
        place = self._folder / "archive"
        command = [
            *self._pip(),
            "download",
            "--no-deps",
            "--no-binary",
            PACKAGE,
            f"{PACKAGE}=={self.version}",
        ]
        _run([*command, "--dest", str(place)], cancel)
        return next(place.glob("*.tar.gz"))

    def _unpack(self, archive: Path) -> None:
        target = self._folder / "llama.cpp"
        with tarfile.open(archive) as file:
            for member in file:
                _, found, name = member.name.partition("/vendor/llama.cpp/")
                if found and name.startswith(TOOLS) and member.isfile():
                    member.name = name
                    file.extract(member, target, filter="data")
        shutil.rmtree(self._folder / "archive", ignore_errors=True)
        if not (target / TOOLS[0]).exists():
            raise LabRefusedError(
                detail=f"{archive.name} holds no converter: it is not {PACKAGE}'s source archive"
            )

    def _python(self) -> Path:
        inside = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
        return self._folder.joinpath("venv", *inside)

    def _pip(self) -> list[str]:
        return [str(self._python()), "-m", "pip", "--disable-pip-version-check"]

    def _script(self) -> list[str]:
        return [str(self._python()), str(self._folder / "llama.cpp" / TOOLS[0])]

    # ------------------------------------------------------------------ converting

    def convert(
        self,
        source: Path,
        target: Path,
        *,
        out_type: str = "auto",
        tell: Callable[[LabProgress], None] = lambda _progress: None,
        cancel: threading.Event | None = None,
    ) -> Path:
        """Write ``target`` (GGUF) from the folder ``source``; ``auto`` keeps its 16-bit type. The target is renamed
        last. Raises NotConvertibleError (no such folder, code of its own), ConverterMissingError, LabStoppedError
        with the converter's last words, LabDiskFullError, LabCancelledError."""
        check_folder(source)
        if out_type not in OUT_TYPES:
            raise LabRefusedError(
                detail=f"{out_type} is no type to convert to; there are {', '.join(OUT_TYPES)}"
            )
        if not self.state().ready:
            raise ConverterMissingError
        weights = sum(path.stat().st_size for path in source.glob("*.safetensors"))
        missing = weights * (2 if out_type == "f32" else 1) - free_space(target.parent)
        if missing > 0:
            raise LabDiskFullError(path=str(target.parent), missing=short_of(missing))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        command = [*self._script(), str(source), "--outfile", str(part), "--outtype", out_type]
        try:
            _run(command, cancel, _progress(tell))
            part.replace(target)
        except BaseException as error:  # Ctrl-C too
            part.unlink(missing_ok=True)
            with suppress(OSError):  # not empty: it is not ours alone
                target.parent.rmdir()
            if isinstance(error, LabStoppedError):
                raise _explained(source, target, error) from error
            raise
        with suppress(OSError):
            _mark(target).write_bytes(msgspec.json.encode(_weights(source)))
        return target


def place_for(source: Path, lab: Path) -> tuple[Path, bool]:
    """Where the GGUF of a folder is or goes below ``lab``, and whether it is there, made of these very weights. Another
    folder of the same name, or one whose weights have changed, gets a number: no model is written over."""
    for number in itertools.count(1):
        name = source.name if number == 1 else f"{source.name}-{number}"
        target = lab / name / f"{name}.gguf"
        if not target.exists():
            return target, False
        with suppress(OSError, msgspec.MsgspecError):
            if msgspec.json.decode(_mark(target).read_bytes(), type=Weights) == _weights(source):
                return target, True
    raise AssertionError("there is always another number")


Weights = list[tuple[str, int, int]]


def _weights(source: Path) -> Weights:
    """Name, bytes and time (ns) of each file of weights."""
    found = [(path.name, path.stat()) for path in sorted(source.glob("*.safetensors"))]
    return [(name, seen.st_size, seen.st_mtime_ns) for name, seen in found]


def _mark(target: Path) -> Path:
    return target.with_suffix(".weights.json")


def _explained(source: Path, target: Path, error: LabStoppedError) -> HearthError:
    """What the converter's last words mean."""
    said = str(error.params["detail"])
    if found := _FOREIGN.search(said):
        detail = f"llama.cpp's converter does not know models of the kind {found[1]}"
        return NotConvertibleError(folder=str(source), detail=detail)
    if "[Errno 28]" in said:
        return LabDiskFullError(path=str(target.parent), missing="some MB")
    if not any(any(source.glob(pattern)) for pattern in TOKENIZERS):
        return NotConvertibleError(folder=str(source), detail="it has no tokenizer, as tokenizer.json is one")
    return LabStoppedError(model=source.name, detail=said)


def requirements(folder: Path, torch: str = "") -> list[str]:
    """The lines of the converter's own requirement files, without what lies beside it. Another ``torch`` is taken from
    the package index alone."""
    lines = [
        line.strip() for name in REQUIREMENTS for line in (folder / name).read_text("utf-8").splitlines()
    ]
    wanted = [line for line in lines if line and not line.startswith(("#", "-r", "gguf"))]
    if not torch:
        return wanted
    rest = [line for line in wanted if not line.startswith(("torch", "--"))]
    return [f"torch=={torch}", *rest]


def processors_alone(wanted: Sequence[str]) -> list[str]:
    """The same with PyTorch's edition for processors: on Linux the package index has one with gigabytes for NVIDIA's
    cards, which pip takes where PyTorch's own index does not answer."""
    if sys.platform != "linux":
        return list(wanted)
    return [re.sub(r"^(torch==[\d.]+)$", r"\1+cpu", line) for line in wanted]


def find_python() -> str:
    """A Python that can make an environment: this one, or in an installed program one of the system. Empty: none."""
    if not getattr(sys, "frozen", False):
        return sys.executable
    return next((path for name in NEWEST if (path := shutil.which(name)) and _new_enough(path)), "")


def _new_enough(python: str) -> bool:
    test = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))"
    return subprocess.run([python, "-c", test], capture_output=True, check=False).returncode == 0


def _progress(tell: Callable[[LabProgress], None]) -> Say:
    def heard(text: str) -> None:
        for percent in _WRITING.findall(text):
            tell(LabProgress(int(percent), 100))

    return heard


def _environ() -> dict[str, str]:
    """Nothing of ours in its path, and no network for what only reads files."""
    kept = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "HF_TOKEN")
    }
    return {**kept, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


def _run(command: Sequence[str], cancel: threading.Event | None, heard: Say = lambda _text: None) -> str:
    """Run to the end; all that was said. Raises LabStoppedError with the last line, LabCancelledError."""
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environ(),
    )
    over = threading.Event()
    watcher = threading.Thread(target=_stop_on, args=(process, cancel, over), name="lab-convert")
    watcher.start()
    said = bytearray()
    try:
        assert process.stdout
        with process.stdout as pipe:
            while block := os.read(pipe.fileno(), 65536):
                said += block
                heard(block.decode("utf-8", "replace"))
        process.wait()
    finally:
        process.kill()
        process.wait()
        over.set()
        watcher.join()
    if cancel is not None and cancel.is_set():
        raise LabCancelledError
    text = said.decode("utf-8", "replace")
    if process.returncode:
        raise LabStoppedError(model=Path(command[-1]).name, detail=_last_words(text))
    return text


def _last_words(text: str) -> str:
    """The last line that is no bar of progress: those come after an error that ended them."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _BAR.search(line)]
    return lines[-1][-_LAST:] if lines else "it said nothing"


def _stop_on(
    process: "subprocess.Popen[bytes]", cancel: threading.Event | None, over: threading.Event
) -> None:
    while cancel is not None and not over.wait(0.1):
        if cancel.is_set():
            process.kill()
            return
