"""``hearth doctor``: what was found on this machine, and how each thing was learned."""

import importlib.metadata
import sys
from argparse import Namespace
from pathlib import Path

from msgspec import Struct

from app import __version__
from app.cli.output import emit
from app.compose import Services, compose
from app.core.paths import Paths

PACKAGES = (
    "llama-cpp-python",
    "huggingface_hub",
    "hf-xet",
    "PySide6-Essentials",
    "msgspec",
    "starlette",
    "uvicorn",
)


class Finding(Struct, frozen=True):
    """One fact. ``value`` None: it could not be learned, and ``how`` says why."""

    area: str
    name: str
    value: str | None
    how: str


def doctor(args: Namespace) -> int:
    """Print every finding."""
    running = compose()
    try:
        machine = [*_machine(running), *_packs(running), *_speed(running)]
        findings = [*_program(), *machine, *_folders(running.paths), *_contents(running)]
        if args.bundle:
            return _bundle(running, findings, args)
    finally:
        running.close()
    emit(findings, args.json, _text(findings))
    return 0


def _bundle(running: Services, findings: list[Finding], args: Namespace) -> int:
    from app.cli.bundle import write_bundle  # noqa: PLC0415 - only for this

    path = write_bundle(running, findings, Path(args.bundle))
    emit({"path": str(path)}, args.json, f"{path} is written. Look into it before you send it to anyone.")
    return 0


def _packs(running: Services) -> list[Finding]:
    """Packs that are not loaded; those that are, the probe lists among the machine's facts."""
    return [
        Finding("Engine", pack.name, f"not used: {pack.why}", f"the packs that are {pack.origin}")
        for pack in running.packs.packs()
        if not pack.used
    ]


def _program() -> list[Finding]:
    found = [
        Finding("Program", "Hearth", __version__, "the program's own version"),
        Finding("Program", "Python", sys.version.split()[0], sys.executable),
    ]
    return found + [Finding("Program", name, _version(name), "package metadata") for name in PACKAGES]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine(running: Services) -> list[Finding]:
    return [Finding("Machine", fact.name, _as_text(fact.value), fact.how) for fact in running.machine().facts]


def _speed(running: Services) -> list[Finding]:
    """What was measured of this machine, and how good our forecasts were."""
    found = []
    for device in running.outlook.devices():
        rates, speed = device.rates, (device.bandwidth or 0.0) / 1e9
        how = "measured with the engine itself" if rates else "not measured: hearth estimate MODEL --measure"
        if rates is not None and rates.disturbed:
            how += " while other programs were busy: measure again"
        found.append(Finding("Speed", device.device, f"reads {speed:.1f} GB/s" if rates else None, how))
    errors = running.outlook.errors()
    text = f"{errors.median:.0%} (median), {errors.worst:.0%} at worst" if errors else None
    how = "no answer with a forecast yet"
    if errors:
        how = "1 answer" if errors.count == 1 else f"{errors.count} answers"
        how += ", each beside its forecast"
    return [*found, Finding("Speed", "error of forecasts", text, how)]


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)


def _folders(paths: Paths) -> list[Finding]:
    how = "HEARTH_HOME, or the platform's own folders"
    return [
        Finding("Folders", name, str(folder), how)
        for name, folder in (
            ("settings", paths.settings_file),
            ("models", paths.models),
            ("chats", paths.chats_file),
            ("caches", paths.cache),
            ("logs", paths.logs),
        )
    ]


def _contents(running: Services) -> list[Finding]:
    records = running.library.records()
    damaged = sum(record.damaged is not None for record in records)
    text = f"{len(records)}, {damaged} of them damaged" if damaged else str(len(records))
    problems = "; ".join(problem.message for problem in running.settings.problems)
    found = [Finding("Library", "models", text, "the library's index")]
    return [*found, Finding("Settings", "problems", problems, "the settings file")] if problems else found


def _text(findings: list[Finding]) -> str:
    lines: list[str] = []
    area, width = "", max(len(item.name) for item in findings)
    for item in findings:
        if item.area != area:
            lines += ["", item.area] if area else [item.area]
            area = item.area
        lines.append(f"  {item.name.ljust(width)}  {item.value or 'unknown'}  ({item.how})")
    return "\n".join(lines)
