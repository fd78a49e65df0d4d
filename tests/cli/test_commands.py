"""The commands as a person runs them: the real program, a local Hub over HTTP, the real starter model.

Those whose start, end, input or environment matters run as a process of their own.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import msgspec
import pytest

from app.core.events import InstanceChanged
from app.core.presence import Presence
from app.planning.pins import Pins
from tests.cli.conftest import ROOT
from tests.fakes.hub_server import FakeRepo
from tests.fakes.projector import RED, TOKENS, picture, write_projector

pytestmark = pytest.mark.slow


def test_search_pull_show_chat_rm(hub, as_json, hearth, starter) -> None:
    (found,) = as_json("search", "smollm")
    assert hearth("search", "smollm").stdout.splitlines()[1].startswith(found["id"])
    pulled = as_json("pull", f"{found['id']}:Q4_1")
    assert (pulled["state"], pulled["done"]) == ("done", starter.stat().st_size)
    (record,) = as_json("ls")
    assert record["id"] == pulled["model"]
    assert as_json("show", record["id"][:8])["summary"]["architecture"] == "llama"
    assert "tensors     Q4_1 " in hearth("show", record["id"]).stdout
    assert [found["id"] for found in as_json("ls", "smollm2", "--sort", "size")] == [record["id"]]
    assert as_json("ls", "#work") == []
    answer = as_json("chat", record["id"], "-p", "Say hello.", "--temp", "0", "-n", "8", "-c", "512")
    assert answer["text"].strip()
    assert answer["usage"]["completion"] <= 8
    assert answer["prefill_per_second"] > 0
    assert answer["memory"] > 50e6
    assert "show" not in hearth("rm", record["id"]).stdout
    assert hearth("rm", record["id"]).returncode == 2  # nobody is there to say yes
    as_json("rm", record["id"], "-y")
    assert as_json("ls") == []
    assert "hearth pull" in hearth("ls").stdout


def test_pull_again_is_done_at_once(hub, tiny, as_json) -> None:
    as_json("pull", f"{tiny}:Q4_0")
    before = hub.bytes_served(".gguf")
    as_json("pull", f"{tiny}:Q4_0")
    assert hub.bytes_served(".gguf") == before


def test_verify_sees_a_changed_byte(tiny, as_json, hearth, home: Path) -> None:
    model = as_json("pull", f"{tiny}:Q4_0")["model"]
    assert [item["ok"] for item in as_json("verify", model)] == [True]
    (path,) = home.rglob("*Q4_0.gguf")
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(5_000_000)
        byte = file.read(1)
        file.seek(5_000_000)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a bad disk does it
    done = hearth("verify", model)
    assert done.returncode == 1
    assert "DIFFERS" in done.stdout


def test_pull_of_a_gated_model_says_what_to_do(hub, tiny, process) -> None:
    bytes_ = hub.repos[tiny].files["tiny-Q4_0.gguf"]
    hub.add(FakeRepo("acme/gated-GGUF", {"gated-Q4_1.gguf": bytes_}, gated="manual"))
    done = process("pull", f"{hub.url}/acme/gated-GGUF/blob/main/gated-Q4_1.gguf", HF_HOME="/nowhere")
    assert done.returncode == 1
    assert "asks you to accept its licence first" in done.stderr
    assert f"{hub.url}/acme/gated-GGUF" in done.stderr
    assert "HF_TOKEN" in done.stderr
    hub.tokens["hf_new"] = {"acme/gated-GGUF"}
    assert process("pull", "acme/gated-GGUF", HF_TOKEN="hf_new").returncode == 0


def test_pull_leaves_an_earlier_queue_alone(hub, tiny, as_json, paths) -> None:
    from app.models.downloads_store import Entry, write
    from app.models.hub import Hub

    other = next(quant for quant in Hub(hub.url, lambda: None).repo(tiny).quants if quant.quant == "Q8_0")
    paths.ensure()
    write(paths.data / "downloads.json", [Entry(other, 1.0)])
    before = (paths.data / "downloads.json").read_bytes()
    as_json("pull", f"{tiny}:Q4_0")
    assert (paths.data / "downloads.json").read_bytes() == before
    assert not [asked for asked in hub.requests if "Q8_0" in asked.path]


def test_search_by_what_it_is(hub, as_json, hearth) -> None:
    assert (
        as_json("search", "--max", "1", "--fits", "--no-gated", "--sort", "match")[0]["architecture"]
        == "llama"
    )
    assert as_json("search", "--architecture", "gemma3") == []
    assert "fewer words or filters" in hearth("search", "--min", "5").stdout


def test_pull_names_the_quants_there_are(hub, hearth, as_json) -> None:
    repo = as_json("search")[0]["id"]
    done = hearth("pull", f"{repo}:Q9_X")
    assert done.returncode == 1
    assert "Q4_1" in done.stderr


def test_the_hub_away(process) -> None:
    done = process("search", "x", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "can't be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_chat_streams_then_says_how_quick_it_was(with_starter, process) -> None:
    done = process("chat", "SmolLM2", "--temp", "0", "-n", "12", "-c", "512", stdin="Name a colour.")
    assert done.returncode == 0, done.stderr
    answer, line = done.stdout.strip().rsplit("\n", 1)
    assert answer.strip()
    for part in ("prefill", "decode", "first token", "memory", "tokens/s", "GiB"):
        assert part in line


def test_the_same_seed_gives_the_same_text(with_starter, as_json) -> None:
    args = ("chat", str(with_starter), "-p", "Tell a story.", "-n", "16", "--seed", "5", "-c", "512")
    assert as_json(*args)["text"] == as_json(*args)["text"]


@pytest.mark.parametrize(
    ("name", "words"), [("nobody", "No model here"), ("/nowhere/x.gguf", "No model here")]
)
def test_an_unknown_model(hearth, name: str, words: str) -> None:
    done = hearth("chat", name, "-p", "x")
    assert done.returncode == 1
    assert words in done.stderr


def test_a_file_that_is_no_model(hearth, tmp_path) -> None:
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"PK\x03\x04" + bytes(1000))
    for command in (("import", str(wrong)), ("chat", str(wrong), "-p", "x")):
        done = hearth(*command)
        assert done.returncode == 1
        assert "not a GGUF" in done.stderr


def test_a_truncated_model(hearth, tmp_path, starter) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(starter.read_bytes()[:40_000_000])
    done = hearth("import", str(cut))
    assert done.returncode == 1
    assert "cut short" in done.stderr


def test_import_then_chat(hearth, as_json, starter) -> None:
    record = as_json("import", str(starter))
    assert record["summary"]["quant"] == "Q4_1"
    assert as_json("chat", record["id"], "-p", "Hi", "-n", "2", "-c", "256")["usage"]["completion"] <= 2


def test_bench(with_starter, as_json) -> None:
    report = as_json("bench", "SmolLM2", "--prompt-tokens", "64", "-n", "8", "--repeat", "1", "-c", "256")
    assert report["prefill_per_second"] > 0
    assert report["decode_per_second"] > 0


def test_doctor_names_everything_with_its_source(as_json, hearth) -> None:
    findings = as_json("doctor")
    assert {item["area"] for item in findings} >= {"Program", "Machine", "Folders", "Library"}
    assert all(item["how"] for item in findings)
    assert "llama-cpp-python" in hearth("doctor").stdout


def test_ps_when_nothing_runs(as_json, hearth) -> None:
    assert as_json("ps") == []
    assert "No model is loaded." in hearth("ps").stdout


def test_ps_says_what_is_pinned(home, as_json, hearth) -> None:
    both = tuple(InstanceChanged(name, name, "ready") for name in ("kept", "other"))
    (home / "run").mkdir(parents=True)
    (home / "run" / "1.json").write_bytes(msgspec.json.encode(Presence(os.getpid(), instances=both)))
    Pins(home / "pinned.json").set("kept", on=True)
    assert [item["pinned"] for item in as_json("ps")[0]["instances"]] == [True, False]
    assert "ready, pinned" in hearth("ps").stdout


def test_serving_a_file_that_is_not_in_the_library_says_what_to_do(hearth, starter) -> None:
    done = hearth("serve", "--model", str(starter))
    assert done.returncode == 2
    assert f"`hearth import {starter}` takes it in" in done.stderr


def test_serve_answers_shows_in_ps_and_stops_on_sigterm(with_starter, environ, as_json) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--port", "0", "--model", "SmolLM2", "-c", "512", "--parallel", "2"],
        cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout
        address = next(line for line in server.stdout if line.startswith("Serving on")).split()[2]
        body = {"model": "SmolLM2", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
        request = urllib.request.Request(
            f"{address}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        answer = json.load(urllib.request.urlopen(request, timeout=60))
        assert answer["choices"][0]["message"]["content"]
        (presence,) = as_json("ps")
        assert presence["address"] in address
        assert presence["instances"][0]["n_ctx"] == 512
    finally:
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate(timeout=60)
    assert server.returncode == 0
    assert "POST /v1/chat/completions 200" in rest
    assert "127.0.0.1" in rest
    assert " tokens" in rest
    assert rest.rstrip().endswith("Stopping")


def test_keys_are_made_listed_and_revoked(as_json, hearth) -> None:
    made = as_json("keys", "create", "laptop", "--rate", "30")
    assert made["key"].startswith("hearth-")
    (listed,) = as_json("keys")
    assert (listed["name"], listed["rate_limit"], listed["used"]["key_id"]) == ("laptop", 30, made["id"])
    assert "hash" not in listed
    assert hearth("keys", "revoke", "laptop").stdout == "laptop is revoked.\n"
    assert "revoked" in hearth("keys").stdout
    assert hearth("keys", "revoke", "laptop").returncode == 2
    assert hearth("keys", "create").returncode == 2


def test_a_busy_port_is_told_with_the_next_one(process) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = process("serve", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} is used" in done.stderr
    assert "is free" in done.stderr


def test_a_folder_that_cannot_be_written(process, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = process("ls", HEARTH_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 1
    assert "HEARTH_HOME" in done.stderr


def test_without_a_display_the_main_job_is_done_in_the_terminal(with_starter, process, environ) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        environ.pop(name, None)
    done = process()
    assert done.returncode == 0, done.stderr
    assert "no display" in done.stdout
    for part in ("prefill", "decode", "first token", "memory"):
        assert part in done.stdout


def test_without_a_display_and_without_the_model_the_way_is_told(process, environ) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        environ.pop(name, None)
    done = process()
    assert done.returncode == 1
    assert "dev.py setup" in done.stderr


def test_no_command_imports_qt(environ) -> None:
    code = "import sys; import app.__main__ as m; m.main(['ls']); print([n for n in sys.modules if 'PySide6' in n])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_pull_interrupted_goes_on(hub, tiny, environ, as_json) -> None:
    hub.fault("stall", after=2_500_000, seconds=60)
    repo = f"{tiny}:Q4_0"
    pull = subprocess.Popen(
        [sys.executable, "-m", "app", "pull", repo],
        cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C, and their children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    assert pull.stderr
    next(line for line in pull.stderr if int((re.search(r"(\d+)%", line) or [0, 0])[1]) >= 20)
    os.killpg(pull.pid, signal.SIGINT)
    rest = pull.communicate(timeout=60)[1]
    assert pull.returncode == 130
    assert "goes on" in rest
    hub.heal()
    before = hub.bytes_served(".gguf")
    assert as_json("pull", repo)["state"] == "done"
    assert hub.bytes_served(".gguf") - before < 8_000_000


def test_an_image_is_asked_about(with_starter, hearth, as_json, starter, tmp_path) -> None:
    eyes = write_projector(tmp_path / "mmproj.gguf", starter)
    (tmp_path / "red.png").write_bytes(picture(RED))
    ask = ("chat", str(with_starter), "-p", "Which colour?", "-n", "2", "-c", "512")
    seen = ("--mmproj", str(eyes), "--image", str(tmp_path / "red.png"))
    blind = as_json(*ask)["usage"]["prompt"]
    assert as_json(*ask, *seen)["usage"]["prompt"] == blind + TOKENS
    done = hearth(*ask, "--image", str(eyes))
    assert done.returncode != 0
    assert "not an image" in done.stderr
