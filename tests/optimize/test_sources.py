"""Where the lab's sources and texts come from: the Hub, folders of original weights, bundled texts and chats."""

import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from app.core.errors import (
    BadRequestError,
    HubNotFoundError,
    LabDiskFullError,
    LabStoppedError,
    NotConvertibleError,
)
from app.models.hub import Hub
from app.models.hub_types import QuantFile, RepoDetail
from app.optimize import converter, sources, texts
from app.optimize.converter import Converter, place_for, requirements
from app.optimize.originals import check_folder
from tests.fakes.hf_folder import NO_TENSORS
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub


def detail(*quants: str, weights: bool = False) -> RepoDetail:
    files = tuple(QuantFile(f"a/b:{quant}", "a/b", "r", quant, (), 1) for quant in quants)
    return RepoDetail(
        "a/b", "r", files, weights=QuantFile("w", "a/b", "r", "safetensors", (), 9) if weights else None
    )


def test_the_best_source_of_a_repository_is_taken() -> None:
    assert sources.best_source(detail("Q4_K_M", "Q8_0", "F16")).quant == "F16"
    assert sources.best_source(detail("Q4_K_M", "Q8_0", weights=True)).quant == "Q8_0"
    assert sources.best_source(detail("Q4_K_M", weights=True)).quant == "safetensors"
    assert sources.best_source(detail("Q4_K_M", "Q6_K", "Q2_K")).quant == "Q6_K"
    assert sources.best_source(detail("Q8_0", weights=True), "safetensors").quant == "safetensors"
    with pytest.raises(HubNotFoundError, match="There is: Q8_0"):
        sources.best_source(detail("Q8_0"), "F16")
    with pytest.raises(HubNotFoundError, match="GGUF, safetensors"):
        sources.best_source(detail())


def test_original_weights_come_without_programs(tmp_path: Path) -> None:
    names = (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "modeling_x.py",
        "consolidated.safetensors",
    )
    files = {name: FakeFile.of(name.encode()) for name in (*names, "onnx/model.json")}
    with LocalHub([FakeRepo("maker/model", files)]) as server:
        hub = Hub(server.url, lambda: None)
        chosen = sources.best_source(hub.repo("maker/model"))
        told: list[str] = []
        folder = sources.fetch(hub, chosen, tmp_path, tell=lambda progress: told.append(progress.what))
    assert folder == tmp_path / "maker" / "model"
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (folder / "config.json").read_bytes() == b"config.json"
    assert "model.safetensors" in told


def test_a_folder_that_can_not_be_converted_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match=r"no config\.json"):
        check_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoConfig": "own.Config"}}))
    with pytest.raises(BadRequestError, match="no safetensors"):
        check_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(NO_TENSORS)
    check_folder(tmp_path)
    (tmp_path / "own.py").write_text("")
    with pytest.raises(BadRequestError, match="programs of its own"):
        check_folder(tmp_path)
    (tmp_path / "own.py").unlink()
    converter = Converter(tmp_path / "converter")
    with pytest.raises(BadRequestError, match="hearth lab setup"):
        converter.convert(tmp_path, tmp_path / "out.gguf")


def test_weights_that_are_not_whole_are_told_before_anything_starts(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    whole = len(header).to_bytes(8, "little") + header + bytes(16)
    (tmp_path / "config.json").write_text("{}")
    part = tmp_path / "model-00001-of-00002.safetensors"
    part.write_bytes(whole)
    check_folder(tmp_path)
    for cut, why in (
        (whole[:-1], "is cut short"),
        (whole[:20], "is no safetensors"),
        (b"", "is no safetensors"),
    ):
        part.write_bytes(cut)
        with pytest.raises(NotConvertibleError, match=f"its file {part.name} {why}"):
            check_folder(tmp_path)
    part.write_bytes(whole)
    names = {"a": part.name, "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(NotConvertibleError, match=r"its part model-00002-of-00002.safetensors is missing"):
        check_folder(tmp_path)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "INFO: Loading\nERROR:hf-to-gguf:Model OddForCausalLM is not supported",
            r"/odd can't .* the kind Odd",
        ),
        (
            "ValueError: Either model_file\nWriting:  55%|██▌  | 1M/2M [00:01]",
            "/odd can't be .* no tokenizer",
        ),
    ],
)
def test_what_the_converter_said_last_is_told_and_nothing_stays(
    said: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "odd", tmp_path / "lab" / "odd" / "odd.gguf"
    source.mkdir()
    (source / "config.json").write_text("{}")
    (source / "model.safetensors").write_bytes(NO_TENSORS)
    ready, program = Converter(tmp_path / "converter"), tmp_path / "says.py"
    program.write_text(f"import sys\nprint({said!r})\nopen(sys.argv[3], 'w').close()\nsys.exit(1)")
    monkeypatch.setattr(Converter, "state", lambda _self: SimpleNamespace(ready=True))
    monkeypatch.setattr(Converter, "_script", lambda _self: [sys.executable, "-I", str(program)])
    with pytest.raises(NotConvertibleError, match=why):
        ready.convert(source, target)
    assert not target.parent.exists()
    (source / "tokenizer.json").write_text("{}")
    if "Either" in said:
        with pytest.raises(LabStoppedError, match=r"The work on odd ended .*: ValueError: Either model_file"):
            ready.convert(source, target)


def test_requirements_are_the_converters_own(tmp_path: Path) -> None:
    (tmp_path / "requirements-convert_legacy_llama.txt").write_text(
        "numpy~=2.2.6\ngguf>=0.1.0\n\ntransformers==4.57.6\n"
    )
    (tmp_path / "requirements-convert_hf_to_gguf.txt").write_text(
        "-r ./requirements-convert_legacy_llama.txt\n--prefer-binary\n\n# why\ntorch==2.11.0\n"
    )
    assert requirements(tmp_path) == [
        "numpy~=2.2.6", "transformers==4.57.6", "--prefer-binary", "torch==2.11.0",
    ]  # fmt: skip
    assert requirements(tmp_path, "2.13.0+cpu") == [
        "torch==2.13.0+cpu",
        "numpy~=2.2.6",
        "transformers==4.57.6",
    ]


def test_a_folder_finds_what_was_made_of_it_and_no_other(tmp_path: Path) -> None:
    first, other, lab = tmp_path / "a" / "model", tmp_path / "b" / "model", tmp_path / "lab"
    for folder, weights in ((first, b"12"), (other, b"345")):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(weights)
    target, made = place_for(first, lab)
    assert (target, made) == (lab / "model" / "model.gguf", False)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"GGUF")
    converter._mark(target).write_bytes(msgspec.json.encode(converter._weights(first)))
    assert place_for(first, lab) == (target, True)
    assert place_for(other, lab) == (lab / "model-2" / "model-2.gguf", False)
    (first / "model.safetensors").write_bytes(b"changed")
    assert place_for(first, lab) == (lab / "model-2" / "model-2.gguf", False)


@pytest.mark.skipif(sys.platform != "linux", reason="the package index has one PyTorch elsewhere")
def test_a_larger_pytorch_is_told_before_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, said = list[str](), list[str]()

    def run(command: Sequence[str], *_rest: object) -> str:
        asked.append(Path(command[-1]).read_text().splitlines()[-1])
        if "+cpu" in asked[-1]:
            raise LabStoppedError(model="r.txt", detail="no matching distribution")
        return ""

    monkeypatch.setattr(converter, "_run", run)
    made, listed = Converter(tmp_path), tmp_path / "r.txt"
    made._install(listed, ["numpy", "torch==2.11.0"], None, said.append)
    assert asked == ["torch==2.11.0+cpu", "torch==2.11.0"]
    assert "about 5.5 GB" in said[0]
    monkeypatch.setattr(converter, "free_space", lambda _folder: 10**9)
    with pytest.raises(LabDiskFullError, match="4500 MB"):
        made._install(listed, ["numpy", "torch==2.11.0"], None, said.append)
    with pytest.raises(LabStoppedError):
        made._install(listed, ["torch==2.13.0+cpu"], None, said.append)


def test_a_set_up_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.optimize.converter.find_python", lambda: "/bin/false")
    converter = Converter(tmp_path)
    assert not converter.state().ready
    with pytest.raises(LabStoppedError):
        converter.set_up(lambda _text: None)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("app.optimize.converter.find_python", lambda: "")
    with pytest.raises(BadRequestError, match=r"Python 3\.10"):
        converter.set_up(lambda _text: None)


def test_only_the_converter_is_taken_out_of_the_archive(tmp_path: Path) -> None:
    root = tmp_path / "x-1" / "vendor" / "llama.cpp"
    for name in ("convert_hf_to_gguf.py", "conversion/base.py", "src/llama.cpp"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    archive = tmp_path / "x-1.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "x-1", "x-1")
    converter = Converter(tmp_path / "converter")
    converter._unpack(archive)
    found = {path.name for path in (tmp_path / "converter").rglob("*") if path.is_file()}
    assert found == {"convert_hf_to_gguf.py", "base.py"}


def test_bundled_texts_are_there_and_share_nothing() -> None:
    for kind, test in zip(texts.TEXTS, texts.TESTS, strict=True):
        words, other = texts.path_of(kind).read_text("utf-8"), texts.path_of(test).read_text("utf-8")
        assert min(len(words), 3 * len(other)) > 30_000
        long = {part for part in words.split("\n\n") if len(part) > 80}
        assert not long & set(other.split("\n\n"))


def test_texts_are_combined_in_turn_and_kept_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a" * 5000)
    (tmp_path / "b.txt").write_text("b" * 9000)
    found = texts.find_all([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")], tmp_path / "kept")
    assert [part[0] + str(len(part)) for part in found.read_text().split("\n\n")] == [
        "a4000", "b4000", "a1000", "b4000", "b1000",
    ]  # fmt: skip
    assert texts.find_all(["en"], tmp_path) == texts.path_of("en")
    with pytest.raises(BadRequestError, match="one of en, vi, code"):
        texts.find("nothing")
    chats = [[SimpleNamespace(text="Hello?"), SimpleNamespace(text=" ")], [SimpleNamespace(text="Yes.")]]
    first = texts.write(texts.of_chats(chats), tmp_path, "chats")
    assert first.read_text() == "Hello?\n\n\nYes."
    assert texts.write("other", tmp_path, "chats") != first
