"""What a quant is measured against, and what a repository has of a model."""

import os
from pathlib import Path

import msgspec
from msgspec.structs import replace

from app.core.types import GgufSummary, ModelFile, ModelRecord, Source
from app.models.hub_types import QuantFile, RemotePart, RepoDetail
from app.optimize.measure import make_room
from app.optimize.recipes import Recipe
from app.optimize.references import as_record, best_reference, offered, record_at, related
from tests.fakes.gguf_writer import model_metadata, model_tensors, write_gguf


def record(name: str, bits: float, inside: str = "", weights: int = 1000) -> ModelRecord:
    summary = GgufSummary("llama", name=inside, parameters=weights, bits_per_weight=bits, vocab_size=9)
    return ModelRecord(name, name, (ModelFile(f"/none/{name}.gguf", 1),), int(bits * 100), summary)


def test_the_finest_file_of_the_same_name_is_the_reference() -> None:
    small, middle, full = record("m-Q4_K_M", 4.8), record("m.Q8_0", 8.5), record("M-F16", 16.0)
    others = [
        record("other-F32", 32.0),
        record("m-F32", 32.0, weights=2000),
        replace(full, id="x", damaged="cut"),
    ]
    assert best_reference(small, [small, middle, full, *others]) == full
    assert best_reference(small, [small, middle, *others]) == middle
    assert best_reference(full, [small, middle, full, *others]) is None
    assert best_reference(record("q", 4.8, "Tiny"), [record("z", 8.5, "tiny")]) is not None
    assert best_reference(record("q", 4.8, "Tiny"), [record("z", 8.5, "large")]) is None
    here = replace(record("a", 4.8), source=Source("me/m"))
    assert best_reference(here, [here, replace(record("b", 8.5), source=Source("me/m"))]) is not None
    assert [each.id for each in related(small, [middle, small, full])] == ["M-F16", "m.Q8_0", "m-Q4_K_M"]


def test_a_recipe_names_the_source_whatever_it_is_called(tmp_path: Path) -> None:
    made, source = record("renamed", 4.8), record("whatever", 16.0)
    made = replace(made, files=(ModelFile(str(tmp_path / "renamed.gguf"), 1),))
    source = replace(source, files=(ModelFile("/none/whatever.gguf", 1, "ab" * 32),))
    recipe = Recipe(source="first.gguf", source_sha256="ab" * 32, type="Q4_K_M")
    assert best_reference(made, [made, source]) is None
    (tmp_path / "renamed.recipe.json").write_bytes(msgspec.json.encode(recipe))
    assert best_reference(made, [made, source]) == source


def test_a_file_outside_the_library_is_read(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", model_metadata(), model_tensors())
    found = record_at(path, [])
    assert (found.path, found.bytes) == (str(path), path.stat().st_size)
    assert found.summary
    assert record_at(path, [replace(found, id="known")]).id == "known"


def test_a_repository_says_what_is_here_and_what_is_to_be_fetched(tmp_path: Path) -> None:
    def quant(kind: str, *sizes: int, what: str = "text") -> QuantFile:
        parts = tuple(RemotePart(f"m-{kind}-{at}.gguf", size) for at, size in enumerate(sizes))
        return QuantFile(f"me/m:{kind}", "me/m", "r", kind, parts, sum(sizes), what)  # type: ignore[arg-type]

    files = (
        quant("Q4_K_M", 400),
        quant("F16", 900, 700),
        quant("Q8_0", 850),
        quant("F32", 5, what="projector"),
    )
    detail = RepoDetail("me/m", "r", files, architecture="llama", parameters=800)
    first = tmp_path / "me" / "m" / "m-F16-0.gguf"
    first.parent.mkdir(parents=True)
    first.write_bytes(bytes(900))
    mine = replace(record("me/m:Q8_0", 8.5), files=(ModelFile("/elsewhere/m.gguf", 850),))
    found = offered(detail, tmp_path, [mine])
    assert [(one.file.quant, one.missing) for one in found] == [("F16", 700), ("Q8_0", 0), ("Q4_K_M", 400)]
    assert [one.path for one in found[:2]] == [str(first), "/elsewhere/m.gguf"]
    assert as_record(found[1], detail, [mine]) == mine
    far = as_record(found[0], detail, [mine])
    assert far.name == "m", "without its owner: a narrow column"
    assert (far.path, far.bytes, [file.bytes for file in far.files]) == (str(first), 1600, [900, 700])
    assert far.summary
    assert (far.summary.quant, far.summary.parameters) == ("F16", 800)


def test_references_do_not_fill_the_disk(tmp_path: Path) -> None:
    for at, name in enumerate(
        ("old.logs", "used.logs", "begun.logs.part", "newest.logs", "trial-x.gguf", "a.json")
    ):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (at, at))
    os.utime(tmp_path / "used.logs")
    (tmp_path / "trial-now.gguf").write_bytes(b"")
    make_room(tmp_path, tmp_path / "newest.logs", most=25)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"newest.logs", "used.logs", "a.json", "trial-now.gguf"}
