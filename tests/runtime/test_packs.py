import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.runtime import llama_packs
from app.runtime.packs import PackError, check_pack, read_manifest, split, working
from tests.fakes.packs import COMMIT, make_pack


def test_a_whole_pack_is_accepted(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "vulkan", b"library", backend="vulkan")
    assert check_pack(pack, f"{COMMIT[:7]}-dirty").library == "libggml-vulkan.so"
    assert check_pack(pack, "unknown").backend == "vulkan"


def test_a_changed_library_is_refused(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "vulkan", b"library", backend="vulkan")
    (pack / "libggml-vulkan.so").write_bytes(b"another")
    with pytest.raises(PackError, match="its hash differs"):
        check_pack(pack)


def test_a_worker_hashes_the_backend_alone(tmp_path: Path) -> None:
    """What lies beside it has been hashed by the probe; a worker's start looks at the sizes."""
    pack = make_pack(tmp_path / "cuda", b"library", backend="cuda")
    facts = json.loads((pack / "manifest.json").read_text())
    facts["files"]["libcublas.so"] = {"sha256": hashlib.sha256(b"large").hexdigest(), "bytes": 5}
    (pack / "manifest.json").write_text(json.dumps(facts))
    (pack / "libcublas.so").write_bytes(b"LARGE")
    assert check_pack(pack, whole=False).library == "libggml-cuda.so"
    with pytest.raises(PackError, match=r"libcublas\.so is not the file .*hash"):
        check_pack(pack)
    (pack / "libcublas.so").write_bytes(b"short of it")
    with pytest.raises(PackError, match=r"libcublas\.so is not the file .*size"):
        check_pack(pack, whole=False)
    (pack / "libcublas.so").unlink()
    with pytest.raises(PackError, match=r"libcublas\.so can't be read"):
        check_pack(pack, whole=False)
    (pack / "libggml-cuda.so").write_bytes(b"another")
    with pytest.raises(PackError, match=r"libggml-cuda\.so is not the file .*hash"):
        check_pack(pack, whole=False)


def test_another_llama_cpp_is_refused_by_name(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "vulkan", b"library", commit="f" * 40)
    with pytest.raises(PackError, match=r"built for llama\.cpp fffffffff, and the engine is 0c1e570"):
        check_pack(pack, "0c1e570-dirty")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"manifest\.json can't be read: No such file"):
        read_manifest(tmp_path / "absent")
    pack = make_pack(tmp_path / "vulkan", b"library", backend="vulkan")
    (pack / "libggml-vulkan.so").unlink()
    with pytest.raises(PackError, match=r"libggml-vulkan\.so can't be read"):
        check_pack(pack)


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "vulkan", b"library")
    (pack / "manifest.json").write_text("{")
    with pytest.raises(PackError, match="damaged"):
        read_manifest(pack)


@pytest.mark.parametrize(
    "name",
    ["../other.so", "/usr/lib/other.so", "a/../../other.so", "a//other.so", "C:other.so", "..\\other.so"],
)
def test_a_manifest_may_not_point_out_of_its_pack(tmp_path: Path, name: str) -> None:
    files = {name: {"sha256": "", "bytes": 0}}
    pack = make_pack(tmp_path / "vulkan", b"library", library=name, files=files)
    with pytest.raises(PackError, match="not in the pack"):
        read_manifest(pack)


@pytest.mark.parametrize("field", [{"backend": "../../other"}, {"llama_cpp": "a/b"}])
def test_a_manifest_names_no_other_folder_of_ours(tmp_path: Path, field: dict[str, str]) -> None:
    manifest = make_pack(tmp_path / "pack", b"library") / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **field}))
    with pytest.raises(PackError, match="where a plain name must be"):
        read_manifest(manifest.parent)


def test_a_library_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "vulkan", b"library", library="other.so")
    with pytest.raises(PackError, match="does not list its library"):
        read_manifest(pack)


def test_workers_get_those_that_the_probe_could_use() -> None:
    assert split(working(["/one", "/two"], ["/two", "engine"])) == ("/one",)


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="a C compiler of Linux")
def test_a_missing_driver_is_named_in_words(tmp_path: Path) -> None:
    """A library that asks for NVIDIA's, as a CUDA pack does, where there is none."""
    driver, pack = tmp_path / "libcuda.so.none", tmp_path / "libggml-cuda.so"
    for target, needs in ((driver, []), (pack, ["-Wl,--no-as-needed", str(driver)])):
        name = f"-Wl,-soname,{target.name}"
        subprocess.run(
            ["cc", "-shared", "-x", "c", "/dev/null", "-x", "none", *needs, name, "-o", target], check=True
        )
    driver.unlink()
    said = llama_packs._why(pack)
    assert said.startswith(": no NVIDIA driver is here, which it needs (libcuda.so.none: cannot open")
    assert llama_packs.in_words("another thing") == "another thing"


def test_the_frozen_program_s_own_words_do_not_hide_the_loader_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        try:
            raise OSError("libcuda.so.1: cannot open shared object file")
        except OSError as error:
            raise OSError(f"Failed to load dynlib/dll {name!r}") from error

    monkeypatch.setattr("ctypes.CDLL", refuse)
    assert llama_packs._why(Path("/pack/x.so")).startswith(": no NVIDIA driver is here")
