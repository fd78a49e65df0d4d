"""Settings: declared once, checked, written whole, never a reason not to open."""

import stat
import sys
from pathlib import Path

import msgspec
import pytest

from app.core.errors import ReadOnlyError, SettingsError
from app.core.events import Bus, SettingChanged
from app.core.settings import Settings, SettingsStore, describe


def store(tmp_path: Path, text: str = "") -> SettingsStore:
    path = tmp_path / "settings.toml"
    if text:
        path.write_text(text, "utf-8")
    return SettingsStore(path, Bus())


def test_a_value_survives_a_restart_with_its_type(tmp_path: Path) -> None:
    first = store(tmp_path)
    first.set("server.port", 9001)
    first.set("chat.enter_sends", False)
    first.set("chat.temperature", 0.5)
    again = store(tmp_path)
    assert (again.value.server.port, again.value.chat.enter_sends, again.value.chat.temperature) == (
        9001,
        False,
        0.5,
    )


def test_the_user_s_comments_and_unknown_keys_are_kept(tmp_path: Path) -> None:
    subject = store(tmp_path, "# mine\n[server]\nport = 9000 # my port\nfuture = 1\n")
    subject.set("server.host", "0.0.0.0")
    text = (tmp_path / "settings.toml").read_text("utf-8")
    assert "# mine" in text
    assert "# my port" in text
    assert "future = 1" in text


@pytest.mark.parametrize("value", ["x", -1, 70000, None, 1.5])
def test_a_wrong_value_is_refused_and_changes_nothing(tmp_path: Path, value: object) -> None:
    subject = store(tmp_path)
    with pytest.raises(SettingsError, match=r"server\.port"):
        subject.set("server.port", value)
    assert subject.value == Settings()
    assert not (tmp_path / "settings.toml").exists()


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    for key in ("server.nothing", "nothing.port", "server"):
        with pytest.raises(SettingsError):
            store(tmp_path).set(key, 1)


def test_a_wrong_value_in_the_file_is_reported_and_the_default_used(tmp_path: Path) -> None:
    subject = store(tmp_path, '[server]\nport = "many"\nhost = "127.0.0.2"\n')
    assert (subject.value.server.port, subject.value.server.host) == (8177, "127.0.0.2")
    assert [problem.params["key"] for problem in subject.problems] == ["server.port"]


def test_a_damaged_file_is_kept_aside(tmp_path: Path) -> None:
    subject = store(tmp_path, "[server\nport=")
    assert subject.value == Settings()
    assert [problem.code for problem in subject.problems] == ["settings_damaged"]
    assert (tmp_path / "settings.damaged.toml").read_text("utf-8") == "[server\nport="
    assert str(tmp_path / "settings.damaged-2.toml") in str(store(tmp_path, "again =").problems[0])
    subject.set("server.port", 9000)
    assert store(tmp_path).value.server.port == 9000


def test_a_folder_that_is_a_file_holds_no_settings(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file", "utf-8")
    assert SettingsStore(tmp_path / "home" / "settings.toml", Bus()).problems == []


def test_a_group_that_is_no_table_is_ignored(tmp_path: Path) -> None:
    assert store(tmp_path, "server = 3\n").value == Settings()


def test_a_change_is_announced_once(tmp_path: Path) -> None:
    bus, seen = Bus(), []
    bus.subscribe(SettingChanged, seen.append)
    subject = SettingsStore(tmp_path / "s.toml", bus)
    subject.set("general.theme", "dark")
    subject.set("general.theme", "dark")
    assert seen == [SettingChanged("general.theme", "dark")]


def test_an_override_is_not_written(tmp_path: Path) -> None:
    subject = store(tmp_path)
    subject.override("server.port", 9000)
    subject.set("server.host", "localhost")
    assert subject.value.server.port == 9000
    assert store(tmp_path).value.server.port == 8177


def test_reset_brings_the_default_back(tmp_path: Path) -> None:
    subject = store(tmp_path)
    subject.set("server.port", 9000)
    subject.reset("server.port")
    assert store(tmp_path).value.server.port == 8177


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    subject = SettingsStore(tmp_path / "file" / "settings.toml", Bus())
    with pytest.raises(ReadOnlyError, match="file"):
        subject.set("server.port", 9000)


def test_every_visible_setting_is_described(tmp_path: Path) -> None:
    subject = store(tmp_path)
    infos = describe()
    assert len(infos) > 10
    for info in infos:
        assert info.title, info.key
        assert info.help.endswith("."), info.key
        assert subject.get(info.key) == info.default
        if info.kind == "choice":
            assert info.default in info.choices
    assert "general.welcomed" not in {info.key for info in infos}


def test_the_api_key_is_a_secret() -> None:
    assert [info.key for info in describe() if info.secret] == ["server.api_key"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_the_file_is_the_user_s_alone(tmp_path: Path) -> None:
    subject = store(tmp_path)
    subject.set("server.api_key", "secret")
    assert stat.S_IMODE((tmp_path / "settings.toml").stat().st_mode) & 0o077 == 0


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().server.port = 1  # type: ignore[misc]
    assert msgspec.to_builtins(Settings())["server"]["port"] == 8177
