"""The installers' own parts, without freezing or packing the program: what goes in, the bytes of archives, scripts."""

import dataclasses
import hashlib
import io
import json
import platform
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from devkit import (
    cuda,
    cudakit,
    freeze,
    lean,
    licences,
    linux,
    packs,
    portable,
    qtlibs,
    release,
    sbom,
    trim,
    venvs,
    windows,
)
from devkit.folders import ROOT
from devkit.package import python_library
from devkit.say import Problem
from devkit.venvs import PACKAGER

LINUX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts and links")


@pytest.fixture
def usr(tmp_path: Path) -> Path:
    """What goes below /usr, with a stand-in for the program."""
    folder = tmp_path / "usr"
    program = folder / "lib" / "hearth"
    program.mkdir(parents=True)
    (program / "hearth").write_bytes(b'#!/bin/sh\necho "the program $*"\n')
    (program / "hearth").chmod(0o755)
    (folder / "bin").mkdir()
    (folder / "bin" / "hearth").symlink_to("../lib/hearth/hearth")
    linux.desktop_files(folder / "share")
    return folder


class TestWhatGoesIn:
    @pytest.mark.parametrize(
        "place",
        [
            "libstdc++.so.6", "libgcc_s.so.1", "libvulkan.so.1", "libX11.so.6", "libxcb.so.1", "libfontconfig.so.1",
            "libwayland-client.so.0", "llama_cpp/lib/libggml-cpu-sapphirerapids.so",
            "PySide6/Qt/plugins/tls/libqopensslbackend.so",
            "PySide6/Qt/plugins/platformthemes/libqgtk3.so", "PySide6/Qt/plugins/platforms/libqvnc.so",
            "PySide6/Qt/translations/qt_de.qm", "PySide6/Qt/plugins/generic/libqevdevmouseplugin.so",
        ],
    )  # fmt: skip
    def test_stays_out(self, place: str) -> None:
        assert not lean.kept(place)

    @pytest.mark.parametrize(
        "place",
        [
            "llama_cpp/lib/libhearth.so",
            "llama_cpp/lib/libggml-cpu-haswell.so", "llama_cpp/lib/libllama.so", "libgomp.so.1", "libssl.so.3",
            "PySide6/Qt/plugins/platforms/libqxcb.so", "PySide6/Qt/plugins/platforms/libqwayland.so",
            "PySide6/Qt/plugins/platforminputcontexts/libibusplatforminputcontextplugin.so",
            "PySide6/QtNetwork.abi3.so",
            "numpy.libs/libscipy_openblas64_-32a4b2a6.so", "resources/icons/app/hearth.svg",
        ],
    )  # fmt: skip
    def test_goes_in(self, place: str) -> None:
        assert lean.kept(place)

    def test_the_processor_is_chosen_at_run_time_and_never_amx(self) -> None:
        args = portable.args("x86_64", "linux")
        assert {"-DGGML_NATIVE=OFF", "-DGGML_BACKEND_DL=ON", "-DGGML_CPU_ALL_VARIANTS=ON"} <= set(args)
        assert not set(portable.VARIANTS) & {*portable.AMX_VARIANTS, *portable.SPARE_VARIANTS}
        assert "-DGGML_METAL=ON" in portable.args("arm64", "darwin")

    @pytest.mark.parametrize("names", [("libllama.so.0", "libhearth.so"), ("llama.dll", "hearth.dll")])
    def test_the_engine_is_whole(self, tmp_path: Path, names: tuple[str, str]) -> None:
        (tmp_path / names[0]).touch()
        with pytest.raises(Problem, match="no library hearth"):
            freeze.check_engine(tmp_path)
        (tmp_path / names[1]).touch()
        freeze.check_engine(tmp_path)

    def test_icu_keeps_what_the_program_speaks(self) -> None:
        assert trim.wanted("vi.res")
        assert trim.wanted("coll/ucadata.icu")
        assert not trim.wanted("fr.res")
        assert not trim.wanted("gb18030.cnv")

    def test_an_icu_package_is_rebuilt_with_its_items_whole(self) -> None:
        items = {"icudt73l/fr.res": b"f" * 40, "icudt73l/root.res": b"r" * 33, "icudt73l/vi.res": b"v" * 20}
        data = trim.rebuilt(icu(items))
        assert [name for name, _ in trim._items(data, 32)] == ["icudt73l/root.res", "icudt73l/vi.res"]
        assert next(item for _, item in trim._items(data, 32)).startswith(items["icudt73l/root.res"])


def icu(items: dict[str, bytes]) -> bytes:
    """ICU's common data, as its tools lay it out."""
    head = struct.pack("<HBB", 32, 0xDA, 0x27) + b"\x14\0\0\0\0\0\x02\0CmnD" + bytes(16)
    names = b"".join(name.encode() + b"\0" for name in items)
    at, offset, toc, body = 4 + 8 * len(items), 4 + 8 * len(items) + len(names), b"", b""
    for name, data in items.items():
        toc += struct.pack("<II", at, offset + len(body))
        at += len(name) + 1
        body += data
    return head + struct.pack("<I", len(items)) + toc + names + body


@LINUX_ONLY
class TestLinux:
    def test_a_package_has_the_same_bytes_each_time_and_its_files(
        self, usr: Path, tmp_path: Path, monkeypatch
    ) -> None:
        monkeypatch.setattr(linux, "WORK", tmp_path)
        first = linux.deb(usr, linux.payload(usr)).read_bytes()
        (usr / "bin").touch()
        assert linux.deb(usr, linux.payload(usr)).read_bytes() == first
        assert first.startswith(b"!<arch>\ndebian-binary")
        if shutil.which("dpkg-deb"):
            out = subprocess.run(
                ["dpkg-deb", "-c", next((tmp_path / "out").glob("*.deb"))],
                capture_output=True,
                text=True,
                check=True,
            )
            assert "root/root" in out.stdout
            assert "./usr/bin/hearth -> ../lib/hearth/hearth" in out.stdout
            assert "./usr/share/mime/packages/hearth.xml" in out.stdout

    def test_it_depends_on_what_qt_needs(self) -> None:
        text = linux.control(10 << 20)
        assert {"libgl1", "libxcb-cursor0", "libgssapi-krb5-2"} <= {
            part.strip()
            for line in text.splitlines()
            if line.startswith("Depends")
            for part in line[8:].split(",")
        }
        assert "Installed-Size: 10240" in text

    def test_the_run_file_installs_without_root_and_uninstalls(
        self, usr: Path, tmp_path: Path, monkeypatch
    ) -> None:
        monkeypatch.setattr(linux, "WORK", tmp_path)
        file = linux.run_file(linux.payload(usr))
        home = tmp_path / "home with space"
        home.mkdir()
        env = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        run = lambda *given: subprocess.run(  # noqa: E731
            ["sh", *map(str, given)], env=env, capture_output=True, text=True, check=False
        )
        assert run(file, "--check").stdout == "The file is whole.\n"
        assert run(file, "--no-start").returncode == 0
        assert "the program --x" in run("-c", f'"{home}/.local/bin/hearth" --x').stdout
        entry = (home / ".local/share/applications/hearth.desktop").read_text()
        assert f'Exec="{home}/.local/bin/hearth" %f' in entry
        (home / ".local/share/Hearth").mkdir()
        assert run(file, "--no-start").returncode == 0  # over itself
        assert sorted(path.name for path in (home / ".local/lib").iterdir()) == [
            "hearth",
            f"hearth-{freeze.version()}",
        ]
        assert run(home / ".local/bin/hearth-uninstall").returncode == 0
        left = [path for path in (home / ".local").rglob("*") if path.is_file() and "mime" not in path.parts]
        assert [path.name for path in left if path.name != "mimeinfo.cache"] == []
        assert (home / ".local/share/Hearth").is_dir()

    def test_the_folder_of_an_appimage_runs_and_becomes_one(
        self, usr: Path, tmp_path: Path, monkeypatch
    ) -> None:
        monkeypatch.setattr(linux, "WORK", tmp_path)
        folder = linux.app_dir(usr)
        done = subprocess.run([folder / "AppRun", "--x"], capture_output=True, text=True, check=True)
        assert "the program --x" in done.stdout
        assert "Exec=hearth" in (folder / "hearth.desktop").read_text()
        assert linux.app_image(folder, "") is None
        if not (reader := shutil.which("unsquashfs")):
            pytest.skip("squashfs-tools are not here")
        runtime = tmp_path / "runtime"
        runtime.write_bytes(b"a stand-in for the runtime")
        (tmp_path / "out").mkdir()
        made = [linux.app_image(folder, str(runtime)).read_bytes() for _ in range(2)]
        assert made[0] == made[1]
        assert made[0].startswith(runtime.read_bytes())
        image = next((tmp_path / "out").glob("Hearth-*.AppImage"))
        command = [reader, "-o", str(runtime.stat().st_size), "-l", image]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert {"squashfs-root/AppRun", "squashfs-root/usr"} <= set(listed.split())

    def test_a_damaged_run_file_installs_nothing(self, usr: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(linux, "WORK", tmp_path)
        file = linux.run_file(linux.payload(usr))
        file.write_bytes(file.read_bytes()[:-10])
        done = subprocess.run(
            ["sh", file], env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "damaged or not complete" in done.stderr
        assert not (tmp_path / ".local").exists()

    @pytest.mark.skipif(not shutil.which("desktop-file-validate"), reason="desktop-file-utils is not here")
    def test_the_menu_entry_is_valid(self) -> None:
        done = subprocess.run(
            ["desktop-file-validate", linux.SOURCES / "hearth.desktop"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "")

    def test_the_type_has_the_magic_of_the_format(self) -> None:
        tree = ET.parse(linux.SOURCES / "hearth-mime.xml")
        space = {"m": "http://www.freedesktop.org/standards/shared-mime-info"}
        match = tree.find(".//m:match", space)
        assert match is not None
        assert (match.get("value"), match.get("offset")) == ("GGUF", "0")

    def test_the_description_for_software_centres_parses(self, usr: Path) -> None:
        root = ET.parse(usr / "share/metainfo" / linux.METAINFO).getroot()
        release = root.find("releases/release")
        assert release is not None
        assert release.get("version") == freeze.version()

    def test_twins_become_links(self, tmp_path: Path) -> None:
        for name in ("libx.so.1.2", "libx.so", "liby.so"):
            (tmp_path / name).write_bytes(b"y" if name.startswith("liby") else b"x")
        assert freeze.link_twins(tmp_path) == 1
        assert (tmp_path / "libx.so.1.2").readlink() == Path("libx.so")
        assert not (tmp_path / "liby.so").is_symlink()


class TestBeside:
    def test_sums_cover_every_artefact(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(release, "OUT", tmp_path)
        monkeypatch.delenv("HEARTH_GPG_KEY", raising=False)
        (tmp_path / "a.deb").write_bytes(b"a")
        (tmp_path / "a.deb.asc").write_bytes(b"old signature")
        assert release.seal().read_text() == f"{hashlib.sha256(b'a').hexdigest()}  a.deb\n"
        assert not (tmp_path / "a.deb.asc").exists()

    def test_the_list_of_contents_is_cyclonedx(self, monkeypatch) -> None:
        monkeypatch.setattr(packs, "locked_commit", lambda: "c" * 40)
        package = licences.Package("Foo_Bar", "1.0", "MIT", "https://foo.invalid", ())
        found = json.loads(json.dumps(sbom.document("0.1.0", [package], 0)))
        assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
        assert found["components"][0]["purl"] == "pkg:pypi/foo-bar@1.0"
        assert found["components"][0]["licenses"] == [{"expression": "MIT"}]
        assert found["components"][1]["purl"] == f"pkg:github/ggml-org/llama.cpp@{'c' * 40}"
        assert found == json.loads(json.dumps(sbom.document("0.1.0", [package], 0)))
        runtime = [("python", "3.11.2"), ("zlib1g", "1:1.2.13")]
        more = json.loads(json.dumps(sbom.document("0.1.0", [package], 0, runtime)))["components"][2:]
        assert [one["purl"] for one in more] == [
            "pkg:generic/python@3.11.2",
            "pkg:deb/debian/zlib1g@1%3A1.2.13",
        ]

    @LINUX_ONLY
    @pytest.mark.skipif(not shutil.which("dpkg-query"), reason="Debian's packages")
    def test_the_system_s_libraries_are_listed_by_their_packages(self, tmp_path: Path) -> None:
        (tmp_path / "libz.so.1").touch()
        (tmp_path / "libours.so.1").touch()
        here = dataclasses.replace(PACKAGER, folder=Path(sys.prefix))
        found = dict(licences.runtime(tmp_path, here))
        assert found["python"] == platform.python_version()
        assert set(found) == {"python", "zlib1g"}

    @pytest.mark.parametrize(
        ("name", "missing", "packages"),
        [
            ("libpython3.11.so.1.0", True, ["libpython3.11"]),
            ("libpython3.11.so.1.0", False, []),
            ("libpython3.12.a", True, []),
            (None, True, []),
        ],
    )
    def test_python_s_own_library_is_asked_for_where_debian_left_it_out(
        self, monkeypatch, name: str | None, missing: bool, packages: list[str]
    ) -> None:
        monkeypatch.setattr("sysconfig.get_config_var", lambda _name: name)
        monkeypatch.setattr(qtlibs, "missing_libraries", lambda names: names if missing else [])
        assert python_library() == packages

    def test_only_what_the_requirements_name_is_listed(self, tmp_path: Path, monkeypatch) -> None:
        """pip leaves what an older requirement named in the environment: nobody gets that."""
        (tmp_path / "core.txt").write_text("Foo_Bar==1.0 \\\n    --hash=sha256:0\npip==25.0\n")
        monkeypatch.setattr(licences, "REQUIREMENTS", tmp_path)
        rows = [[name, "1", "MIT", "", []] for name in ("foo-bar", "left-over", "llama_cpp_python", "pip")]
        done = subprocess.CompletedProcess([], 0, stdout=json.dumps(rows))
        monkeypatch.setattr(subprocess, "run", lambda *_given, **_more: done)
        found = licences.packages(venvs.Environment("here", tmp_path, ("core.txt",)))
        assert [item.name for item in found] == ["foo-bar", "llama_cpp_python"]

    @pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not here (apt-get install gnupg)")
    def test_every_artefact_and_the_sums_are_signed(self, monkeypatch) -> None:
        """With a key made for this test in a home of its own, which is then checked by gpg itself."""
        with tempfile.TemporaryDirectory(prefix="gpg") as home:  # a socket's path must be short
            monkeypatch.setenv("GNUPGHOME", home)
            monkeypatch.setattr(release, "OUT", Path(home, "out"))
            monkeypatch.setattr(venvs, "BUILD", Path(home))
            release.OUT.mkdir()
            gpg = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
            subprocess.run([*gpg, "--quick-gen-key", "tests@hearth.invalid", "ed25519"], check=True)
            (release.OUT / "a.deb").write_bytes(b"a")
            monkeypatch.setenv("HEARTH_GPG_KEY", "tests@hearth.invalid")
            release.seal()
            for name in ("a.deb", "SHA256SUMS"):
                subprocess.run(
                    [*gpg, "--verify", release.OUT / f"{name}.asc", release.OUT / name],
                    check=True,
                    capture_output=True,
                )
            (release.OUT / "a.deb").write_bytes(b"b")
            done = subprocess.run(
                [*gpg, "--verify", release.OUT / "a.deb.asc", release.OUT / "a.deb"],
                capture_output=True,
                check=False,
            )
            assert done.returncode == 1
            monkeypatch.setenv("HEARTH_GPG_KEY", "nobody@hearth.invalid")
            with pytest.raises(Problem, match=r"signing a\.deb"):
                release.seal()
            subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=True)

    def test_the_list_of_updates_is_signed_by_the_key_that_is_named(
        self, tmp_path: Path, monkeypatch
    ) -> None:
        """The very script of a release, and the program's own reader."""
        from app.updates.manifest import open_list, read_keys

        monkeypatch.setattr(
            release, "PACKAGER", venvs.Environment("here", Path(sys.executable).parents[1], ())
        )
        monkeypatch.setattr(venvs, "ensure", lambda _environment: None)
        monkeypatch.setattr(venvs, "BUILD", tmp_path)
        run = lambda *words: subprocess.run(  # noqa: E731
            [sys.executable, release.LIST_SCRIPT, *words], capture_output=True, text=True, check=False
        )
        public = run("new-key", tmp_path / "key.pem").stdout.strip()
        assert (tmp_path / "key.pem").stat().st_mode & 0o77 == 0
        assert run("new-key", tmp_path / "key.pem").returncode == 1, "a key is never written over"
        out = tmp_path / "out"
        out.mkdir()
        monkeypatch.setenv(release.UPDATE_KEY, str(tmp_path / "key.pem"))
        with pytest.raises(Problem, match="no installer"):
            release.update_list(out)
        for name in (
            "hearth_0.2.0_amd64.deb",
            "Hearth-0.2.0-setup.exe",
            "Hearth-0.2.0-arm64.dmg",
            "other.txt",
        ):
            (out / name).write_bytes(name.encode())
        listed = release.update_list(out, "--minimum", "0.1.0", "--url", "https://example.org/files/")
        assert listed is not None
        found, _ = open_list(listed.read_bytes(), read_keys(public), "here")
        assert [(item.form, item.system, item.machine) for item in found.files] == [
            ("dmg", "macos", "aarch64"), ("setup", "windows", "x86_64"), ("deb", "linux", "x86_64"),
        ]  # fmt: skip
        assert found.files[2].url == "https://example.org/files/hearth_0.2.0_amd64.deb"
        assert (found.minimum, set(found.notes)) == ("0.1.0", {"en", "vi"})
        program = tmp_path / "program/resources"
        program.mkdir(parents=True)
        (program / "update-keys.txt").write_text("# keys\n")
        release.trust_own_key(program.parent)
        assert read_keys((program / "update-keys.txt").read_text()) == read_keys(public)
        (out / "hearth_0.3.0_amd64.deb").write_bytes(b"x")
        with pytest.raises(Problem, match="several versions"):
            release.update_list(out)

    def test_a_pack_s_archive_is_one_that_the_program_installs(self, tmp_path: Path, monkeypatch) -> None:
        from app.runtime.pack_archive import bring
        from tests.fakes.packs import make_pack

        monkeypatch.setattr(release, "OUT", tmp_path / "out")
        archive = release.pack_archive(make_pack(tmp_path / "vulkan-0c1e57098bba", b"x", backend="vulkan"))
        (tmp_path / "stage").mkdir()
        assert (bring(str(archive), tmp_path / "stage") / "manifest.json").is_file()

    def test_the_cuda_pack_finds_its_libraries_beside_itself(self, monkeypatch) -> None:
        monkeypatch.setenv("HEARTH_CUDA_ARCHITECTURES", "90-real")
        kit = cudakit.Kit(("-DCUDA_cublas_LIBRARY=/cublas/libcublas.so.13",))
        found = cuda.switches(Path("/usr/local/cuda/bin/nvcc"), kit)
        assert {
            "-DCMAKE_INSTALL_RPATH=$ORIGIN",
            "-DGGML_BACKEND_DL=ON",
            "-DCMAKE_CUDA_ARCHITECTURES=90-real",
            "-DCUDA_cublas_LIBRARY=/cublas/libcublas.so.13",
        } <= set(found)

    @pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="a C compiler of Linux")
    def test_the_driver_s_stand_in_is_asked_for_by_name(self, tmp_path: Path, monkeypatch) -> None:
        """Also by a compiler that leaves out what nothing was taken from."""
        monkeypatch.setattr(cudakit, "cache_dir", lambda: tmp_path)
        stub, library = cudakit._driver_stub(), tmp_path / "libggml-cuda.so"
        link = ["cc", "-shared", "-x", "c", "/dev/null", "-x", "none", "-o", library, "-Wl,--as-needed"]
        subprocess.run([*link, stub], check=True)
        assert not cuda.asks_for_driver(library)
        subprocess.run([*link, cuda.LINKER.partition("=")[2], stub], check=True)
        assert cuda.asks_for_driver(library)

    def test_the_cards_to_build_for_are_an_option(self, monkeypatch) -> None:
        monkeypatch.setenv(cuda.ARCHITECTURES, "75")
        cuda.choose([])
        assert cuda.architectures() == "75"
        cuda.choose(["--arch", "86-real,89-real"])
        assert cuda.architectures() == "86-real;89-real"

    @LINUX_ONLY
    def test_else_it_is_for_the_cards_here_by_number(self, tmp_path: Path, monkeypatch) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text("#!/bin/sh\nprintf '9.0\\n8.6\\n9.0\\n'\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        assert cuda.cards_here() == "86-real;90-real"
        tool.write_text("#!/bin/sh\necho 'no driver' >&2; exit 9\n")
        assert cuda.cards_here() == "native"

    @LINUX_ONLY
    def test_a_toolkit_is_found_behind_a_script_and_lends_what_it_has(self, tmp_path: Path) -> None:
        top = tmp_path / "cuda-13.0"
        for name in ("include/cublas_v2.h", "lib64/stubs/libcuda.so"):
            (top / name).parent.mkdir(parents=True)
            (top / name).touch()
        nvcc = tmp_path / "nvcc"
        nvcc.write_text(f"#!/bin/sh\necho '#$ TOP={top}/bin/..' >&2\n")
        nvcc.chmod(0o755)
        (top / "bin").mkdir()
        assert cudakit.ensure(nvcc, "13.0") == cudakit.Kit(folders=(top / "lib64",))

    def test_a_toolkit_of_another_cuda_without_cublas_says_what_to_install(self, tmp_path: Path) -> None:
        with pytest.raises(Problem, match=r"CUDA 12\.4's toolkit here has no cuBLAS"):
            cudakit._cublas("12.4")

    def test_tars_have_one_owner_and_date(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        with tarfile.open(fileobj=io.BytesIO(linux.tar_bytes(linux.below(tmp_path, ".")))) as file:
            assert {(item.uname, item.mtime) for item in file} == {("root", linux.epoch())}


@pytest.mark.skipif(not windows.find_makensis(), reason="makensis is not here (apt-get install nsis)")
def test_the_windows_installer_compiles_without_a_warning(tmp_path: Path) -> None:
    program = tmp_path / "program"
    (program / "_internal").mkdir(parents=True)
    (program / "licenses").mkdir()
    for name in ("hearth.exe", "_internal/python.dll", "licenses/LICENSE"):
        (program / name).write_bytes(b"MZ")
    icon = tmp_path / "hearth.ico"
    icon.write_bytes(ico())
    made = windows.setup(program, icon, tmp_path / "out", "0.1.0")
    assert made.read_bytes()[:2] == b"MZ"
    assert made.name == "Hearth-0.1.0-setup.exe"


def ico() -> bytes:
    """The smallest icon that NSIS takes: 1 x 1, 32 bits."""
    image = struct.pack("<IiiHHIIiiII", 40, 1, 2, 1, 32, 0, 8, 0, 0, 0, 0) + bytes(8)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 1, 1, 0, 0, 1, 32, len(image), 22) + image


def test_the_scripts_for_macos_parse() -> None:
    import plistlib

    found = plistlib.loads((ROOT / "packaging/macos/entitlements.plist").read_bytes())
    assert found["com.apple.security.cs.disable-library-validation"] is True
    if sys.platform != "win32":
        subprocess.run(["sh", "-n", ROOT / "packaging/macos/make_dmg.sh"], check=True)
