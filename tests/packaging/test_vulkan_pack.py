"""The Vulkan pack's own parts: what is fetched, what is built and what a pack says, without fetching or building."""

import json
from pathlib import Path

import pytest

from app.runtime.packs import PackError, check_pack
from devkit import nextdebian, packbuild, packs, vulkan
from devkit.say import Problem

COMMIT = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"
DEB822 = """# an address in a comment: deb http://comment.invalid/debian bookworm main
Types: deb
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.invalid/debian-security
Suites: bookworm-security
Components: main
"""


def texts(tmp_path: Path, name: str, text: str) -> list[str]:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return nextdebian.system_sources(tmp_path)


class TestWhereFrom:
    def test_the_machine_s_own_mirror(self, tmp_path: Path) -> None:
        found = texts(tmp_path, "sources.list.d/debian.sources", DEB822)
        assert nextdebian.mirror(found, "bookworm") == "http://mirror.invalid/debian"

    def test_written_in_the_old_style(self, tmp_path: Path) -> None:
        found = texts(
            tmp_path, "sources.list", "deb [arch=amd64] http://old.invalid/debian bookworm main contrib\n"
        )
        assert nextdebian.mirror(found, "bookworm") == "http://old.invalid/debian"

    def test_a_comment_is_no_source(self, tmp_path: Path) -> None:
        found = texts(tmp_path, "sources.list", "# deb http://old.invalid/debian bookworm main\n")
        with pytest.raises(Problem, match="no source for bookworm"):
            nextdebian.mirror(found, "bookworm")

    def test_our_entry_names_the_next_release_and_its_keys(self, tmp_path: Path) -> None:
        keys = tmp_path / "keys.gpg"
        keys.touch()
        entry = nextdebian.source_entry("http://mirror.invalid/debian", "trixie", keys)
        assert "Suites: trixie\n" in entry
        assert f"Signed-By: {keys}\n" in entry

    def test_only_after_a_release_we_know(self) -> None:
        assert nextdebian.next_suite({"ID": "debian", "VERSION_CODENAME": "bookworm"}) == "trixie"
        with pytest.raises(Problem, match="bookworm"):
            nextdebian.next_suite({"ID": "ubuntu", "VERSION_CODENAME": "noble"})

    def test_the_system_s_own_lists_are_not_touched(self, tmp_path: Path) -> None:
        options = nextdebian.apt_options(tmp_path)
        assert f"Dir::State::lists={tmp_path}/lists" in options
        assert "Dir::State::status=/dev/null" in options


class TestBuilding:
    def test_the_compiler_comes_with_the_libraries_it_runs_with(self) -> None:
        assert {"glslc", "libshaderc1", "libc6", "libstdc++6", "libgcc-s1"} <= set(vulkan.PACKAGES)

    def test_glslc_is_run_by_its_own_loader(self, tmp_path: Path) -> None:
        vulkan.write_glslc(tmp_path / "glslc", tmp_path / "kit")
        text = (tmp_path / "glslc").read_text()
        assert f'"{tmp_path}/kit/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path' in text
        assert (tmp_path / "glslc").stat().st_mode & 0o111

    def test_ggml_would_refuse_it_without_this_switch(self, tmp_path: Path) -> None:
        found = vulkan.switches(tmp_path)
        assert {"-DGGML_BACKEND_DL=ON", "-DGGML_VULKAN=ON", "-DGGML_CPU=OFF", "-DGGML_NATIVE=OFF"} <= set(
            found
        )
        assert f"-DVulkan_GLSLC_EXECUTABLE={tmp_path}/glslc" in found

    @pytest.mark.parametrize(("system", "machine"), [("win32", "AMD64"), ("linux", "aarch64")])
    def test_elsewhere_it_says_so(self, system: str, machine: str) -> None:
        with pytest.raises(Problem, match=r"x86-64, only: install the SDK \(its installer sets VULKAN_SDK\)"):
            vulkan.check(system, machine)

    def test_the_sdk_serves_where_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VULKAN_SDK", str(tmp_path))
        assert vulkan.sdk() == tmp_path
        assert f"-DCMAKE_PREFIX_PATH={tmp_path.as_posix()}" in vulkan.sdk_switches(tmp_path)
        monkeypatch.setenv("VULKAN_SDK", str(tmp_path / "gone"))
        assert vulkan.sdk() is None

    def test_a_library_has_its_system_s_name(self) -> None:
        assert packbuild.library_name("vulkan", "win32") == "ggml-vulkan.dll"
        assert packbuild.library_name("hip", "linux") == "libggml-hip.so"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for path, text in (
        (packs.COMMIT, f"{COMMIT}\n"),
        (packs.API, "// version\n    #define GGML_BACKEND_API_VERSION 2\n"),
    ):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture
def cached(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack in a cache of its own."""
    library = tmp_path / "libggml-vulkan.so"
    library.write_bytes(b"a library")
    facts = packs.manifest("vulkan", source, library, vulkan.source_key())
    monkeypatch.setattr(packs, "cache_dir", lambda: tmp_path / "cache")
    return packs.keep(library, facts, tmp_path / "cache" / "packs" / f"vulkan-{COMMIT[:12]}")


class TestPacks:
    def test_the_manifest_says_what_it_was_built_from(self, cached: Path) -> None:
        facts = json.loads((cached / "manifest.json").read_text())
        assert facts["llama_cpp"] == COMMIT
        assert facts["ggml_backend_api"] == 2
        assert facts["built_for"]["system"]
        assert facts["files"]["libggml-vulkan.so"]["bytes"] == len(b"a library")

    def test_the_program_accepts_it(self, cached: Path) -> None:
        assert check_pack(cached, COMMIT[:7]).library == "libggml-vulkan.so"

    def test_it_is_found_again(self, cached: Path) -> None:
        assert vulkan.built() == cached
        assert packs.find("vulkan", "another source") is None

    def test_a_changed_library_is_built_anew_and_never_loaded(self, cached: Path) -> None:
        (cached / "libggml-vulkan.so").write_bytes(b"b library")
        assert vulkan.built() is None
        with pytest.raises(PackError, match="hash"):
            check_pack(cached)

    def test_a_damaged_manifest_counts_as_none(self, cached: Path) -> None:
        (cached / "manifest.json").write_text("[]")
        assert vulkan.built() is None

    def test_a_source_without_a_commit_is_not_built(self, source: Path) -> None:
        (source / packs.COMMIT).write_text("ref: refs/heads/master\n")
        with pytest.raises(Problem, match="commit"):
            packs.llama_commit(source)
