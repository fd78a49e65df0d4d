"""A newer file is told from a newer card."""

from msgspec.structs import replace

from app.core.types import GgufSummary, ModelFile, ModelRecord, Source
from app.models.hub_types import QuantFile, RemotePart, RepoDetail
from app.models.library_updates import compare

OURS = ModelRecord(
    "o/r:Q4_0",
    "r",
    (ModelFile("/m/a-Q4_0.gguf", 10, "s1"),),
    10,
    GgufSummary("llama", quant="Q4_0"),
    Source("o/r", "old", "a-Q4_0.gguf"),
)


def hub(*parts: RemotePart, quant: str = "Q4_0") -> RepoDetail:
    found = QuantFile(f"o/r:{quant}", "o/r", "new", quant, parts, sum(part.size for part in parts))
    return RepoDetail("o/r", "new", (found,), updated=5.0)


def test_the_same_bytes_are_not_newer_whatever_the_commit() -> None:
    found = compare(OURS, hub(RemotePart("a-Q4_0.gguf", 10, "s1")))
    assert (found.verdict, found.revision, found.updated) == ("same", "new", 5.0)


def test_other_bytes_are_newer() -> None:
    for part in (RemotePart("a-Q4_0.gguf", 10, "s2"), RemotePart("a-Q4_0.gguf", 11, None)):
        found = compare(OURS, hub(part))
        assert found.verdict == "newer"
        assert found.quant is not None
    assert compare(OURS, hub(RemotePart("renamed.gguf", 10, "s2"))).verdict == "newer"


def test_a_damaged_file_is_found_by_its_name_alone() -> None:
    damaged = replace(OURS, summary=None, source=Source("o/r"), damaged="cut short")
    found = compare(damaged, hub(RemotePart("sub/a-Q4_0.gguf", 11, "s1")))
    assert found.quant is not None


def test_without_hashes_the_revision_decides_or_nobody() -> None:
    unhashed = replace(OURS, files=(ModelFile("/m/a-Q4_0.gguf", 10),))
    page = hub(RemotePart("a-Q4_0.gguf", 10, "s1"))
    assert compare(unhashed, page).verdict == "unknown"
    assert compare(replace(unhashed, source=Source("o/r", "new", "a-Q4_0.gguf")), page).verdict == "same"


def test_what_the_repository_no_longer_has_is_gone() -> None:
    assert compare(OURS, hub(RemotePart("b-Q8_0.gguf", 20, "s9"), quant="Q8_0")).verdict == "gone"
    assert compare(replace(OURS, source=None), hub(RemotePart("x", 1), quant="Q8_0")).verdict == "gone"
