"""The texts to copy do what they say: each that can run here is run against the server as it stands."""

import shutil
import subprocess
import sys

import pytest

from app.server.addresses import Address, addresses, is_local, own_numbers
from app.server.guard import host_allowed
from app.server.snippets import NO_KEY, SNIPPETS, Call

MODEL = "fake/model:Q4_K_M"
BY_ID = {snippet.id: snippet for snippet in SNIPPETS}


@pytest.fixture
def call(served) -> Call:
    _, text = served.host.keys.create("copied")
    return Call(served.address, MODEL, text)


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_python_s_run(served, call, capsys, name) -> None:
    text = BY_ID[name].text(call)
    known: dict[str, object] = {}
    exec(compile(text, name, "exec"), known)
    assert capsys.readouterr().out.strip() == "Hello!"
    known["client"].close()


@pytest.mark.parametrize(("name", "program"), [("curl", "bash"), ("javascript", "node")])
def test_commands_run(served, call, name, program) -> None:
    if not shutil.which(program) or not shutil.which({"curl": "curl"}.get(name, program)):
        pytest.skip(f"{program} is not on this machine")
    text = BY_ID[name].text(call)
    kind = ["-c"] if program == "bash" else ["--input-type=module", "-e"]
    done = subprocess.run([program, *kind, text], capture_output=True, text=True, timeout=30, check=False)
    assert "Hello!" in done.stdout, done.stderr


def test_every_one_names_the_address_the_model_and_the_key(call) -> None:
    for snippet in SNIPPETS:
        text = snippet.text(call)
        assert call.key in text, snippet.id
        assert call.address.rpartition(":")[2] in text, snippet.id
        assert call.model in text or snippet.id == "open_webui", snippet.id


@pytest.mark.parametrize(
    ("system", "part"), [("linux", "--network=host"), ("darwin", "http://host.docker.internal:1/v1")]
)
def test_a_container_finds_this_machine(monkeypatch, system, part) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert part in BY_ID["open_webui"].text(Call("http://127.0.0.1:1", MODEL, NO_KEY))
    assert host_allowed("host.docker.internal:8177")


def test_addresses_for_this_machine_and_the_network() -> None:
    url = "https://127.0.0.1:8177"
    assert addresses(url, "127.0.0.1") == (Address(url, "machine"),)
    found = addresses(url, "0.0.0.0", ["192.168.1.20"])
    assert [item.kind for item in found] == ["network", "name", "machine"]
    assert found[0].url == "https://192.168.1.20:8177"
    assert found[1].url.endswith(".local:8177")
    assert addresses("http://10.0.0.3:1", "10.0.0.3") == (Address("http://10.0.0.3:1", "network"),)
    assert addresses(url, "0.0.0.0", []) == (Address(url, "machine"),)
    assert is_local("localhost")
    assert all(not number.startswith("127.") for number in own_numbers())
