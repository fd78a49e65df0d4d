import json
import zipfile
from pathlib import Path

import pytest

from app.cli.bundle import quiet, scrub
from app.cli.main import main

COMMIT = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("using hf_abcdefGHIJK12345", "abcdefGHIJK"),
        ("Authorization: Bearer verysecretvalue", "verysecretvalue"),
        ('{"api_key": "mine1234"}', "mine1234"),
        ("http://ann:pass@proxy:3128", "ann:pass"),
        ("https://cdn/x?X-Amz-Signature=deadbeef99&a=1", "deadbeef99"),
        ("password=hunter2", "hunter2"),
    ],
)
def test_secrets_are_taken_out(text: str, gone: str) -> None:
    assert gone not in scrub(text)


def test_hashes_stay_and_the_home_folder_does_not() -> None:
    text = scrub(f"commit {COMMIT} in {Path.home()}/models")
    assert COMMIT in text
    assert str(Path.home()) not in text or str(Path.home()) == "/"


def test_lines_that_may_quote_somebody_are_left_out() -> None:
    kept = quiet('loading 30 layers\n{"content": "my diary"}\nprompt: hello')
    assert kept == "loading 30 layers\n<line left out>\n<line left out>\n"


def test_the_bundle_has_findings_settings_and_logs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "worker.log").write_text("load hf_abcdefGHIJK12345\n")
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text(
        '[hub]\nproxy = "http://ann:pass@host"\n[engine]\nn_ctx = 1024\n'
    )
    assert main(["doctor", "--bundle", str(home / "report.zip")]) == 0
    assert "report.zip" in capsys.readouterr().out
    with zipfile.ZipFile(home / "report.zip") as archive:
        settings = json.loads(archive.read("settings.json"))
        assert settings["hub.proxy"] == "set"
        assert settings["engine.n_ctx"] == 1024
        assert b"abcdefGHIJK" not in archive.read("logs/worker.log")
        assert json.loads(archive.read("doctor.json"))
