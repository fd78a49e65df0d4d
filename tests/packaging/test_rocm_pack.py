"""The ROCm pack's own parts: which ROCm and GPUs, what goes along. The stand-ins are scripts and files."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.runtime.pack_archive import bring, copy_pack
from app.runtime.packs import PackError, check_pack
from devkit import packs, release, rocm
from devkit.say import Problem
from tests.packaging.test_vulkan_pack import COMMIT, source

__all__ = ["source"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="built on Linux only")


@pytest.fixture(autouse=True)
def _no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rocm.TARGETS, raising=False)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """An installed ROCm, as far as its files say."""
    folder = tmp_path / "rocm-6.4.1"
    for name in (
        "lib/librocblas.so.4.4", "lib/rocblas/library/TensileManifest.txt",
        "lib/rocblas/library/Kernels.so-000-gfx1100.hsaco", "lib/rocblas/library/Kernels.so-000-gfx90a-xnack+.hsaco",
        "lib/rocblas/library/TensileLibrary_lazy_gfx1030.dat", "share/doc/rocblas/LICENSE.md",
        "share/doc/rocblas/readme",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def hipcc(top: Path, version: str) -> Path:
    """The two programs that tell about a ROCm."""
    answers = {"--version": f"{version}\n", "--rocmpath": str(top), "--hipclangpath": f"{top}/llvm/bin"}
    cases = "".join(f"  {what}) echo '{answer}';;\n" for what, answer in answers.items())
    (top / "bin").mkdir()
    for name in ("hipcc", "hipconfig"):
        (top / "bin" / name).write_text(f'#!/bin/sh\ncase "$1" in\n{cases}esac\n')
        (top / "bin" / name).chmod(0o755)
    return top / "bin" / "hipcc"


class TestWhatIsHere:
    def test_it_is_found_by_its_folder_s_variable(self, top: Path) -> None:
        found = hipcc(top, "6.4.43482-0f2d60242")
        assert rocm.find_hipcc({"ROCM_PATH": str(top), "PATH": ""}) == found
        assert rocm.toolkit(found) == rocm.Rocm(top, (6, 4), top / "llvm/bin/clang++")

    def test_without_it_the_way_is_told(self) -> None:
        with pytest.raises(Problem, match="needs hipcc: install AMD's ROCm"):
            rocm.toolkit(None)

    @pytest.mark.parametrize(
        ("version", "said"),
        [("5.7.1", r"ROCm 5\.7 is at .*needs 6\.1"), ("?", "does not say ROCm's version: \\?")],
    )
    def test_one_that_ggml_does_not_take_is_named(self, top: Path, version: str, said: str) -> None:
        with pytest.raises(Problem, match=said):
            rocm.toolkit(hipcc(top, version))

    def test_a_compiler_without_its_neighbour_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(Problem, match=r"hipconfig does not say ROCm's version: .*No such file"):
            rocm.toolkit(tmp_path / "hipcc")


class TestTargets:
    def test_the_gpus_of_this_machine_by_the_compiler_s_names(self, tmp_path: Path) -> None:
        for node, code in enumerate((0, 110003, 90010, 110003)):
            path = tmp_path / f"sys/class/kfd/kfd/topology/nodes/{node}/properties"
            path.parent.mkdir(parents=True)
            path.write_text(f"cpu_cores_count 8\ngfx_target_version {code}\nsimd_count 4\n")
        assert rocm.gpus_here(tmp_path) == ("gfx1103", "gfx90a")

    def test_they_are_an_option(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(rocm.TARGETS, "gfx906")
        rocm.choose([])
        assert rocm.targets((6, 4)) == ("gfx906",)
        assert rocm.choose(["--targets", "gfx1100,gfx90a:xnack-", "--archive"]).archive
        assert rocm.targets((6, 4)) == ("gfx1100", "gfx90a:xnack-")

    def test_what_is_none_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(rocm.TARGETS, "gfx1100,RX7900")
        with pytest.raises(Problem, match="RX7900 is no GPU"):
            rocm.targets((6, 4))

    def test_else_the_usual_ones_that_this_compiler_knows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rocm, "gpus_here", tuple)
        assert "gfx1201" not in rocm.targets((6, 2))
        assert "gfx1201" in rocm.targets((6, 4))

    def test_each_choice_is_a_pack_of_its_own(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = rocm.Rocm(top, (6, 4), top / "clang++")
        monkeypatch.setenv(rocm.TARGETS, "gfx1100")
        one = rocm.source_key(found)
        assert "-DCMAKE_HIP_ARCHITECTURES=gfx1100" in rocm.switches(found)
        assert {"-DGGML_HIP=ON", "-DGGML_BACKEND_DL=ON", "-DCMAKE_INSTALL_RPATH=$ORIGIN"} <= set(
            rocm.switches(found)
        )
        monkeypatch.setenv(rocm.TARGETS, "gfx1030")
        assert rocm.source_key(found) != one


class TestWhatGoesAlong:
    def test_libraries_of_rocm_and_kernels_for_the_chosen_gpus(
        self, top: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = (
            f"\tlibrocblas.so.4 => {top}/lib/librocblas.so.4.4 (0x0)\n\tlibc.so.6 => /lib/libc.so.6 (0x0)\n"
            "\tlibnuma.so.1 => not found\n"
        )
        monkeypatch.setattr(
            subprocess, "run", lambda command, **_more: subprocess.CompletedProcess(command, 0, stdout=said)
        )
        monkeypatch.setenv(rocm.TARGETS, "gfx1100")
        found = rocm.runtime(top / "libggml-hip.so", rocm.Rocm(top, (6, 4), top / "clang++"))
        assert set(found) == {
            "librocblas.so.4", "rocblas/library/Kernels.so-000-gfx1100.hsaco", "rocblas/library/TensileManifest.txt",
            "licenses/rocblas-LICENSE.md",
        }  # fmt: skip

    def test_a_distribution_s_libraries_are_known_by_their_names(self) -> None:
        usr = Path("/usr")
        assert rocm._is_rocm("libamdhip64.so.6", usr / "lib/libamdhip64.so.6", usr)
        assert not rocm._is_rocm("libc.so.6", usr / "lib/libc.so.6", usr)

    def test_the_program_takes_a_pack_with_folders(
        self, top: Path, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Made, packed into a file, brought from it, verified and copied by the program's own code."""
        library = tmp_path / "libggml-hip.so"
        library.write_bytes(b"a library")
        kernel = "rocblas/library/Kernels.so-000-gfx1100.hsaco"
        beside = {kernel: top / "lib" / kernel}
        facts = packs.manifest("rocm", source, library, "key", beside=beside)
        pack = packs.keep(library, facts, tmp_path / f"rocm-{COMMIT[:12]}", beside=beside)
        monkeypatch.setattr(release, "OUT", tmp_path / "out")
        (tmp_path / "stage").mkdir()
        brought = bring(str(release.pack_archive(pack)), tmp_path / "stage")
        copy_pack(brought, list(check_pack(brought, COMMIT).files), tmp_path / "ready")
        assert packs.intact(tmp_path / "ready", facts)
        (tmp_path / "ready" / kernel).write_bytes(b"another")
        with pytest.raises(PackError, match="hash differs"):
            check_pack(tmp_path / "ready")
