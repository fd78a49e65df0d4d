"""What is told about a worker that died."""

import signal
import sys
from pathlib import Path

import pytest

from app.runtime import postmortem
from app.runtime.postmortem import explain_death, name_status, oom_kills, open_log, read_tail


def test_a_log_is_kept_beside_the_next_one(tmp_path: Path) -> None:
    for text in (b"one", b"two", b"three"):
        file, path = open_log(tmp_path / "logs", "owner/some model:Q4_K_M")
        with file:
            file.write(text)
    assert path.name == "worker-owner-some-model-Q4_K_M.log"
    assert path.read_bytes() == b"three"
    assert path.with_suffix(".before.log").read_bytes() == b"two"
    file, path = open_log(tmp_path, "../..")
    file.close()
    assert path.parent == tmp_path


def test_logs_that_can_not_be_written_go_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "temporary"))
    file, path = open_log(tmp_path / "file" / "logs", "m")
    file.close()
    assert path.is_relative_to(tmp_path / "temporary")


def test_the_tail_is_short_and_never_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    assert read_tail(path) == ""
    path.write_bytes(b"\xff\n" + b"line\n" * 1000)
    assert read_tail(path).count("line") == postmortem.TAIL_LINES


@pytest.mark.parametrize(
    ("status", "log", "code", "part"),
    [
        (3, "", "worker_crashed", "exit status 3"),
        (-int(signal.SIGSEGV), "", "worker_crashed", "SIGSEGV"),
        (
            -int(signal.SIGABRT),
            "x.c:12: GGML_ASSERT(a > b) failed",
            "worker_crashed",
            "GGML_ASSERT(a > b) failed",
        ),
        (
            -int(signal.SIGABRT),
            "alloc: failed to allocate CUDA0 buffer of size 123",
            "out_of_memory",
            "CUDA0 buffer",
        ),
        (1, "ggml: cudaMalloc failed: out of memory", "out_of_memory", "out of memory"),
    ],
)
def test_a_death_is_explained(tmp_path: Path, status: int, log: str, code: str, part: str) -> None:
    path = tmp_path / "x.log"
    path.write_text(f"begin\n{log}\nend\n")
    death = explain_death("m", status, path, None)
    assert death.error.code == code
    assert part in death.error.message
    assert death.details.startswith("begin")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_kill_by_the_system_is_told_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postmortem, "oom_kills", lambda: 5)
    killed = -int(signal.SIGKILL)
    assert explain_death("m", killed, tmp_path / "none", 4).error.code == "out_of_memory"
    assert explain_death("m", killed, tmp_path / "none", 5).error.code == "worker_crashed"
    assert explain_death("m", killed, tmp_path / "none", None).error.code == "worker_crashed"


def test_a_status_has_a_name() -> None:
    assert name_status(0) == "exit status 0"
    assert name_status(-250) == "signal 250"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_linux_counts_its_kills() -> None:
    assert isinstance(oom_kills(), int)
