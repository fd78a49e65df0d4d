"""Backend packs as products: brought, verified, tried out, chosen, undone. The probe here is a function; the real one
is in ``tests/integration/test_vulkan.py`` and in ``test_llama_probe.py``."""

import hashlib
import http.server
import io
import platform
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import PackRefusedError
from app.runtime.pack_fit import Card
from app.runtime.pack_store import BY_USER, PackStore
from app.runtime.packs import VARIABLE
from tests.fakes.packs import make_pack

OTHER = "f" * 40


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def store(data: Path, **changed: object) -> PackStore:
    usual = {"setting": lambda: "", "try_out": lambda _pack: "", "environ": {}, "bundled": data / "bundled"}
    return PackStore(data, **{**usual, **changed})


def tar(pack: Path, target: Path) -> Path:
    with tarfile.open(target, "w:xz") as file:
        file.add(pack, pack.name)
    return target


class TestChoosing:
    def test_packs_come_from_the_setting_the_data_folder_and_the_program_each_backend_once(
        self, data: Path
    ) -> None:
        ours = make_pack(data / "packs" / "vulkan-1", b"ours", backend="vulkan")
        make_pack(data / "bundled" / "vulkan-0", b"bundled", backend="vulkan")
        cuda = make_pack(data / "bundled" / "cuda-0", b"cuda", backend="cuda")
        found = store(data, setting=lambda: "/elsewhere\n/elsewhere")
        assert found.current() == ("/elsewhere", str(ours), str(cuda))
        shadowed = next(pack for pack in found.packs() if pack.name == "vulkan-0")
        assert shadowed.why == "another pack for vulkan is used"
        assert [pack.origin for pack in found.packs()] == ["setting", "installed", "bundled", "bundled"]

    def test_the_environment_stands_alone(self, data: Path) -> None:
        make_pack(data / "packs" / "vulkan-1", b"ours", backend="vulkan")
        assert store(data, environ={VARIABLE: "/one"}).current() == ("/one",)
        assert store(data, environ={VARIABLE: ""}).current() == ()

    def test_one_that_crashed_stays_off_and_says_so_until_it_is_turned_on(self, data: Path) -> None:
        pack = make_pack(data / "packs" / "vulkan-1", b"ours", backend="vulkan")
        found = store(data)
        found.learn({str(pack): "crashed with SIGSEGV: it said nothing", "engine": "crashed with SIGABRT"})
        again = store(data)
        assert again.current() == ()
        assert "SIGSEGV" in again.packs()[0].why
        assert again.packs()[0].off
        assert again.turn("vulkan", on=True).used

    def test_a_missing_driver_turns_nothing_off(self, data: Path) -> None:
        pack = make_pack(data / "packs" / "vulkan-1", b"ours", backend="vulkan")
        found = store(data)
        found.learn(
            {str(pack): "ggml refused libggml-vulkan.so: libvulkan.so.1: cannot open shared object file"}
        )
        assert found.current() == (str(pack),)

    def test_turning_one_on_turns_the_other_of_its_backend_off(self, data: Path) -> None:
        make_pack(data / "packs" / "vulkan-1", b"ours", backend="vulkan")
        old = make_pack(data / "bundled" / "vulkan-0", b"bundled", backend="vulkan")
        found = store(data)
        assert found.turn("vulkan-0", on=True).used
        assert found.current() == (str(old),)
        assert found.get("vulkan-1").why == BY_USER

    def test_the_processor_alone_and_back(self, data: Path) -> None:
        make_pack(data / "bundled" / "vulkan-0", b"bundled", backend="vulkan")
        found = store(data)
        found.turn_all(on=False)
        assert found.current() == ()
        found.turn_all(on=True)
        assert len(found.current()) == 1

    def test_the_second_crash_in_a_row_of_a_running_model_turns_it_off(self, data: Path) -> None:
        make_pack(data / "packs" / "vulkan-1", b"ours", backend="vulkan")
        found = store(data)
        assert found.crashed("vulkan", "signal SIGSEGV") == ""
        assert (found.packs()[0].used, found.packs()[0].crashes) == (True, 1)
        found.worked(["cuda", "vulkan"])
        assert found.packs()[0].crashes == 0
        assert [store(data).crashed("vulkan", "signal SIGSEGV") for _ in range(2)] == ["", "vulkan-1"]
        assert found.packs()[0].why == "the engine crashed on it twice in a row (signal SIGSEGV)"
        assert found.current() == ()
        assert found.off() == {"vulkan"}
        assert found.turn("vulkan", on=True).crashes == 0
        assert found.off() == frozenset()
        assert found.crashed("vulkan", "signal SIGSEGV") == ""

    def test_a_crash_without_a_pack_or_a_place_to_note_it_turns_nothing_off(self, data: Path) -> None:
        make_pack(data / "bundled" / "vulkan-0", b"bundled", backend="vulkan")
        assert store(data).crashed("metal", "signal SIGSEGV") == ""
        (data / "packs.json").mkdir()
        assert [store(data).crashed("vulkan", "signal SIGSEGV") for _ in range(3)] == [""] * 3
        assert len(store(data).current()) == 1

    def test_a_pack_of_the_program_s_own_drives_on_when_the_installed_one_is_off(self, data: Path) -> None:
        make_pack(data / "packs" / "vulkan-1", b"ours", backend="vulkan")
        own = make_pack(data / "bundled" / "vulkan-0", b"bundled", backend="vulkan")
        found = store(data)
        for _ in range(2):
            found.crashed("vulkan", "signal SIGABRT")
        assert found.current() == (str(own),)

    def test_a_damaged_state_file_is_no_state(self, data: Path) -> None:
        make_pack(data / "packs" / "vulkan-1", b"ours", backend="vulkan")
        (data / "packs.json").write_text("{")
        assert len(store(data).current()) == 1


class TestInstalling:
    @pytest.mark.parametrize("form", ["folder", "tar", "zip"])
    def test_from_a_folder_or_an_archive(self, data: Path, tmp_path: Path, form: str) -> None:
        pack = make_pack(tmp_path / "vulkan-new", b"new", backend="vulkan")
        (pack / "beside.so").write_bytes(b"would be loaded with it")
        source = {"folder": lambda: pack, "tar": lambda: tar(pack, tmp_path / "pack.tar.xz"),
                  "zip": lambda: zipped(pack, tmp_path / "pack.zip")}[form]()  # fmt: skip
        done = store(data).install(str(source))
        assert done.used
        assert done.name == "vulkan-0c1e57098bba"
        assert sorted(path.name for path in Path(done.path).iterdir()) == [
            "libggml-vulkan.so",
            "manifest.json",
        ]
        assert not list(data.glob("packs.new-*"))

    def test_what_the_probe_refuses_is_not_installed(self, data: Path, tmp_path: Path) -> None:
        pack = make_pack(tmp_path / "new", b"new", backend="vulkan", commit=OTHER)
        why = "it was built for llama.cpp fffffffff, and the engine is 0c1e570"
        with pytest.raises(PackRefusedError, match="built for"):
            store(data, try_out=lambda _pack: why).install(str(pack))
        assert store(data).packs() == ()
        assert not list(data.glob("packs.new-*"))

    def test_a_changed_file_is_refused_before_it_is_tried(self, data: Path, tmp_path: Path) -> None:
        pack = make_pack(tmp_path / "new", b"new", backend="vulkan")
        (pack / "libggml-vulkan.so").write_bytes(b"bad")
        with pytest.raises(PackRefusedError, match="its hash differs"):
            store(data, try_out=lambda _pack: pytest.fail("was tried")).install(str(pack))

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"built_for": {"system": "Plan9"}}, "it is for Plan9"),
            ({"built_for": {"machine": "vax"}}, "it is for vax"),
            (
                {"driver_floor": {"nvidia": "580.65.06"}},
                "NVIDIA's driver 580.65.06 or newer, and 535.1 is here",
            ),
            (
                {"cuda": {"toolkit": "13.0", "architectures": "90-real"}},
                r"no code for the GPU here \(T4, sm_75\): it was built for sm_90",
            ),
        ],
    )
    def test_one_for_elsewhere_is_refused(self, data: Path, tmp_path: Path, changed: dict, said: str) -> None:
        pack = make_pack(tmp_path / "new", b"new", backend="cuda", **changed)
        with pytest.raises(PackRefusedError, match=said):
            store(data, cards=lambda: (Card("nvidia", "T4", "535.1", "sm_75"),)).install(str(pack))

    def test_one_for_here_is_taken(self, data: Path, tmp_path: Path) -> None:
        here = {"system": platform.system(), "machine": platform.machine(), "libc": "2.36"}
        pack = make_pack(tmp_path / "new", b"new", built_for=here, driver_floor={"nvidia": "580.65.06"})
        assert store(data, cards=lambda: (Card("nvidia", driver="580.105"),)).install(str(pack)).used

    @pytest.mark.parametrize(
        ("driver", "taken"), [("amdgpu 6.7.0", False), ("amdgpu (Linux 6.1.0-18)", True)]
    )
    def test_a_maker_s_driver_is_not_the_kernel_s(
        self, data: Path, tmp_path: Path, driver: str, taken: bool
    ) -> None:
        """AMD's own driver is numbered; the one in Linux has the kernel's number, which says nothing."""
        pack = make_pack(tmp_path / "new", b"new", backend="rocm", driver_floor={"amd": "6.8.5"})
        found = store(data, cards=lambda: (Card("amd", driver=driver),))
        if taken:
            assert found.install(str(pack)).used
            return
        with pytest.raises(
            PackRefusedError, match=r"AMD's driver 6\.8\.5 or newer, and amdgpu 6\.7\.0 is here"
        ):
            found.install(str(pack))

    @pytest.mark.parametrize("name", ["../../evil.so", "a/b/c/d/e/f/evil.so", "/evil.so", "C:evil.so"])
    def test_an_archive_may_not_write_elsewhere(self, data: Path, tmp_path: Path, name: str) -> None:
        with tarfile.open(tmp_path / "bad.tar", "w") as file:
            info = tarfile.TarInfo(name)
            info.size = 1
            file.addfile(info, io.BytesIO(b"x"))
        with pytest.raises(PackRefusedError, match="not in a pack"):
            store(data).install(str(tmp_path / "bad.tar"))
        assert not list(tmp_path.rglob("evil.so"))

    @pytest.mark.parametrize(("text", "said"), [(b"hello", "neither a folder nor"), (None, "no such file")])
    def test_what_is_no_pack_is_said(self, data: Path, tmp_path: Path, text: bytes | None, said: str) -> None:
        if text is not None:
            (tmp_path / "file").write_bytes(text)
        with pytest.raises(PackRefusedError, match=said):
            store(data).install(str(tmp_path / "file"))

    def test_a_folder_without_a_manifest_is_said(self, data: Path, tmp_path: Path) -> None:
        with pytest.raises(PackRefusedError, match=r"no manifest\.json"):
            store(data).install(str(tmp_path))


def zipped(pack: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as file:
        for path in pack.iterdir():
            file.write(path, path.name)
    return target


class TestGoingBack:
    def test_the_one_before_is_kept_and_comes_back_and_forth(self, data: Path, tmp_path: Path) -> None:
        found = store(data)
        found.install(str(make_pack(tmp_path / "one", b"one", backend="vulkan", commit=OTHER)))
        found.install(str(make_pack(tmp_path / "two", b"two", backend="vulkan")))
        assert found.previous()["vulkan"].llama_cpp == OTHER
        back = found.roll_back("vulkan")
        assert back is not None
        assert back.commit == OTHER
        assert [pack.commit for pack in found.packs()] == [OTHER]
        forth = found.roll_back("vulkan")
        assert forth is not None
        assert forth.commit != OTHER

    def test_without_one_before_the_program_s_own_is_used_again(self, data: Path, tmp_path: Path) -> None:
        own = make_pack(data / "bundled" / "vulkan-0", b"bundled", backend="vulkan")
        found = store(data)
        found.install(str(make_pack(tmp_path / "one", b"one", backend="vulkan")))
        back = found.roll_back("vulkan")
        assert back is not None
        assert back.path == str(own)

    def test_nothing_to_undo_is_said(self, data: Path) -> None:
        with pytest.raises(PackRefusedError, match="no earlier one"):
            store(data).roll_back("vulkan")

    def test_removing(self, data: Path, tmp_path: Path) -> None:
        make_pack(data / "bundled" / "cuda-0", b"bundled", backend="cuda")
        found = store(data)
        found.install(str(make_pack(tmp_path / "one", b"one", backend="vulkan")))
        assert found.remove("vulkan").backend == "vulkan"
        assert [pack.backend for pack in found.packs()] == ["cuda"]
        with pytest.raises(PackRefusedError, match="came with the program"):
            found.remove("cuda")
        with pytest.raises(PackRefusedError, match="no such pack; there are: cuda-0"):
            found.remove("vulkan")


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "web").mkdir()
    tar(make_pack(tmp_path / "vulkan", b"fetched", backend="vulkan"), tmp_path / "web" / "pack.tar.xz")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: _Files(*given, directory=str(tmp_path / "web"))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/pack.tar.xz"
    server.shutdown()
    thread.join()
    server.server_close()


class TestAddresses:
    def test_it_is_fetched_and_its_hash_compared(self, data: Path, web: str, tmp_path: Path) -> None:
        seen: list[int] = []
        digest = hashlib.sha256((tmp_path / "web" / "pack.tar.xz").read_bytes()).hexdigest()
        done = store(data).install(f"{web}#sha256={digest}", lambda count, _total: seen.append(count))
        assert done.used
        assert seen
        with pytest.raises(PackRefusedError, match="not what #sha256= names"):
            store(data).install(f"{web}#sha256={'0' * 64}")

    def test_what_is_not_there_is_said(self, data: Path, web: str) -> None:
        with pytest.raises(PackRefusedError, match="can't be fetched"):
            store(data).install(f"{web}.gone")

    def test_a_plain_address_elsewhere_needs_a_hash(self, data: Path) -> None:
        with pytest.raises(PackRefusedError, match="needs #sha256="):
            store(data).install("http://packs.invalid/pack.tar.xz")
