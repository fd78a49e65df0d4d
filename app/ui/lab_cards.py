"""Run cards of this copy: made, written, read, kept (pool thread)."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from app import __version__
from app.core.errors import HearthError
from app.optimize import cards
from app.optimize.cards import Hardware, Measurements, RunCard
from app.optimize.orders import Point
from app.optimize.work import engine_name

if TYPE_CHECKING:
    from app.compose import Services


def measurements(services: "Services") -> Measurements:
    """Where the measurements of this copy are kept."""
    return Measurements(services.paths.data / "lab" / "measurements.json")


def make_card(services: "Services", points: Sequence[Point]) -> RunCard:
    """A card of these measurements."""
    machine = services.machine()
    hardware = Hardware(
        machine.cpu.name or "",
        machine.cpu.physical_cores,
        machine.memory.total,
        tuple(gpu.name for gpu in machine.gpus if not gpu.software),
        machine.os,
    )
    recipes = {point.print: recipe for point in points if (recipe := _recipe(point))}
    commit = next((str(recipe["commit"]) for recipe in recipes.values() if recipe.get("commit")), "")
    known = {file.path: file.sha256 for record in services.library.records() for file in record.files}
    hashes = {
        p.print: str(recipes.get(p.print, {}).get("result_sha256") or known.get(p.path) or "") for p in points
    }
    return RunCard(
        made_at=time.time(), program=f"Hearth {__version__}", engine=engine_name(), hardware=hardware,
        points=tuple(points), recipes=recipes, commit=commit,
        sha256={mark: value for mark, value in hashes.items() if value},
    )  # fmt: skip


def _recipe(point: Point) -> dict[str, object]:
    """The recipe beside the file, when it was made here."""
    file = Path(point.path).with_suffix(".recipe.json") if point.path else None
    if file is None or not file.exists():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.MsgspecError):
        return {}


def write_card(services: "Services", points: Sequence[Point], path: Path) -> None:
    """Write a card. Raises OSError."""
    path.write_bytes(cards.export(make_card(services, points)))


def write_table(points: Sequence[Point], path: Path) -> None:
    """Write the table as CSV. Raises OSError."""
    path.write_text(cards.table(points), "utf-8", newline="")


def take_card(services: "Services", path: Path) -> RunCard:
    """Read a card and keep it. Raises BadRequestError, OSError."""
    data = path.read_bytes()
    card = cards.read(data, path.name)
    kept = _folder(services) / f"{hashlib.sha256(data).hexdigest()[:16]}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(data)
    return card


def kept_cards(services: "Services") -> list[RunCard]:
    """Every card that was taken in; one that can't be read any more is left out."""
    found = []
    for file in sorted(_folder(services).glob("*.json")):
        try:
            found.append(cards.read(file.read_bytes(), file.name))
        except (HearthError, OSError):
            continue
    return found


def forget_cards(services: "Services") -> None:
    """Delete all of them."""
    for file in _folder(services).glob("*.json"):
        file.unlink(missing_ok=True)


def _folder(services: "Services") -> Path:
    return services.paths.data / "lab" / "cards"


def save_picture(image: Any, path: Path) -> None:
    """Raises OSError."""
    if not image.save(str(path)):
        raise OSError(f"{path} could not be written")
