"""Arguments, exit codes and errors of the command line, without a model."""

import pytest

from app.__main__ import wants_window
from app.cli.main import build_parser, main
from app.cli.output import rate, size, table
from app.cli.terminal import has_display

COMMANDS = [
    "search",
    "pull",
    "ls",
    "show",
    "rm",
    "import",
    "verify",
    "estimate",
    "explain",
    "chat",
    "serve",
    "keys",
    "bench",
    "ps",
    "doctor",
]


def test_every_command_has_help(capsys) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            build_parser().parse_args([command, "--help"])
        assert caught.value.code == 0
        assert f"hearth {command}" in capsys.readouterr().out


def test_settings_that_cannot_be_are_told_and_the_command_goes_on(hearth, home) -> None:
    (home / "config").mkdir(parents=True)
    file = home / "config" / "settings.toml"
    file.write_text("[server]\nport = 99999999\n", "utf-8")
    told = hearth("explain", "Q8_0")
    assert told.returncode == 0
    assert "The setting server.port can't be 99999999" in told.stderr
    file.write_text("[server\n", "utf-8")
    assert "settings.damaged.toml" in hearth("ls").stderr
    assert hearth("ls").stderr == ""


def test_every_argument_says_what_it_is() -> None:
    commands = next(action.choices for action in build_parser()._actions if action.metavar == "COMMAND")
    assert [
        (name, act.dest) for name, parser in commands.items() for act in parser._actions if not act.help
    ] == []


@pytest.mark.parametrize("args", [["nothing"], ["chat"], ["serve", "--port", "x"], ["chat", "m", "-n", "0"]])
def test_wrong_usage_ends_with_2(args, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(args)
    assert caught.value.code == 2
    assert "usage: hearth" in capsys.readouterr().err


def test_the_window_opens_without_arguments_or_with_a_model_file() -> None:
    assert wants_window([])
    assert wants_window(["/home/me/Model.GGUF"])
    assert not wants_window(["ls"])
    assert not wants_window(["import", "x.gguf"])


def test_a_display_is_recognised(monkeypatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert not has_display({})
    assert has_display({"DISPLAY": ":0"})
    assert has_display({"WAYLAND_DISPLAY": "wayland-0"})
    monkeypatch.setattr("sys.platform", "darwin")
    assert has_display({})


def test_numbers_read_as_people_write_them() -> None:
    assert [size(98_362_432), size(4_920_000_000), size(None)] == ["98.4 MB", "4.9 GB", "-"]
    assert [rate(61.26), rate(141.6), rate(None)] == ["61.3", "142", "-"]


def test_a_table_lines_up() -> None:
    assert (
        table(("A", "N"), [("x", "1"), ("long", "100")], frozenset({1})) == "A       N\nx       1\nlong  100"
    )


def test_explain_says_what_a_quant_is(capsys) -> None:
    assert main(["explain", "Q4_K_M"]) == 0
    assert capsys.readouterr().out.startswith("Q4_K_M: 4.85-bit, balanced")
    assert main(["explain", "nonsense"]) == 0
    assert "does not know" in capsys.readouterr().out
