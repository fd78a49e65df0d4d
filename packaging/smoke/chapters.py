"""The story's chapters, in their order. Places on the screen are those of a window of 1280 x 800 at the upper left."""

import json
import sqlite3
import time
import urllib.request
from pathlib import Path

from smoke.story import DATA, HOME, Story, start_time

PAGE = (72, 30, 995, 770)
STATUS_SERVER = (1225, 787)
"""The word at the end of the status line, which opens the server's page."""
REPOSITORY = (700, 180, 985, 600)
"""Where the repository's table has its download buttons: left, top, right, bottom."""
QUESTION = "Name three colours."
NEXT = "0.99"
"""The number of the version that is updated to; ``trial.py`` makes its package."""
SETTINGS = f"{HOME}/.config/Hearth/settings.toml"


def first_start(story: Story, _model: Path, _package: Path) -> None:
    """It starts, and how soon."""
    assert story.run("hearth --version").startswith("hearth ")
    assert "CPU" in story.run("hearth probe")
    start_time(story)


def search_and_download(story: Story, model: Path, _package: Path) -> None:
    """Search the Hub, download a model."""
    story.start()
    story.shown()
    story.picture("1-first")
    story.keys("ctrl+2")
    story.write("smollm2")
    story.keys("Return")
    folder, size = story.root / DATA / "models", model.stat().st_size
    story.until("a started download", lambda: _press_download(story, folder))
    story.picture("2-found")
    story.until(
        "the model", lambda: [path for path in folder.rglob("*Q4_1.gguf") if path.stat().st_size == size]
    )
    time.sleep(2)
    story.picture("3-downloaded")


def _press_download(story: Story, folder: Path) -> bool:
    """Lines that come later move the button: press where it is now, until something has happened."""
    if place := story.accented(*REPOSITORY):
        story.click(*place)
        time.sleep(2)
    return any(path.is_file() for path in folder.rglob("*"))


def load_and_chat(story: Story, _model: Path, _package: Path) -> None:
    """Load it, ask, and get an answer."""
    story.keys("ctrl+shift+o")
    time.sleep(1)
    story.keys("Return")
    time.sleep(2)
    story.picture("4-load")
    story.keys("Return")
    run = story.root / DATA / "run"
    story.until("the loaded model", lambda: any('"ready"' in path.read_text() for path in run.glob("*.json")))
    story.keys("ctrl+1")
    story.write(QUESTION)
    story.keys("Return")
    story.until(
        "an answer", lambda: [text for role, text in story.messages() if role == "assistant" and text]
    )
    story.picture("5-answer")
    assert ("user", QUESTION) in story.messages()
    _see_the_engine(run)


def _see_the_engine(run: Path) -> None:
    """The worker has our own part of the engine, a library for this processor, and nothing of the window."""
    instances = [one for path in run.glob("*.json") for one in json.loads(path.read_text())["instances"]]
    maps = Path(f"/proc/{instances[0]['pid']}/maps").read_text(encoding="ascii", errors="replace")
    assert "/libhearth.so" in maps
    assert "/libggml-cpu-" in maps
    assert "/libQt6" not in maps


def serve(story: Story, _model: Path, _package: Path) -> None:
    """Switch the server on and ask it from outside."""
    run = story.root / DATA / "run"
    story.click(*STATUS_SERVER)
    time.sleep(2)
    story.picture("6-server")
    if place := story.accented(*PAGE):
        story.click(*place)
    story.until("the server", lambda: any("http://" in path.read_text() for path in run.glob("*.json")))
    address = next(
        found for path in run.glob("*.json") if (found := json.loads(path.read_text()).get("address"))
    )
    body = json.dumps(
        {"model": "SmolLM2", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
    ).encode()
    request = urllib.request.Request(
        f"{address}/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["choices"][0]["message"]["content"]
    story.picture("6-serving")
    story.quit()


def double_click(story: Story, model: Path, _package: Path) -> None:
    """A double click on a model opens it (xdg-open), and the desktop knows the type by its first bytes."""
    home = story.root / HOME
    (home / "nameless").write_bytes(model.read_bytes()[:4096])
    (home / "another.gguf").hardlink_to(next((story.root / DATA / "models").rglob("*Q4_1.gguf")))
    story.run("chown -R ann /home/ann", "root")
    assert "application/x-gguf" in story.run("xdg-mime query filetype /home/ann/another.gguf")
    assert "application/x-gguf" in story.run("gio info -a standard::content-type /home/ann/nameless")
    assert "hearth.desktop" in story.run("xdg-mime query default application/x-gguf")
    story.start("xdg-open /home/ann/another.gguf")
    story.until("the window", story.window, 60)
    story.shown()
    time.sleep(3)
    story.picture("7-opened")
    story.xdotool("windowfocus", story.window())
    story.keys("ctrl+q")
    story.until("the program's end", lambda: not story.window(), 30)


def update(story: Story, _model: Path, package: Path) -> None:
    """A signed newer version is found, fetched, put in place and gone back from: chats and models stay."""
    before, site = story.messages(), story.site
    next_file = site.folder / package.name.replace(_version(package), NEXT)
    next_file.write_bytes((story.root / "tmp/next.deb").read_bytes())
    _write_next_run(package, site.folder)
    site.publish(NEXT)
    _allow(story.root / SETTINGS, site.url, site.key)
    story.run("chown -R ann /home/ann", "root")
    offer = json.loads(story.run("hearth update --check --json"))
    assert (offer["version"], offer["newer"], offer["problem"]) == (NEXT, True, None), offer
    told = json.loads(story.run("hearth update --yes --json"))
    assert told["command"][:3] == ["sudo", "apt", "install"], told
    story.run(f"apt-get install --yes {told['command'][-1]}", "root")
    assert NEXT in story.run("dpkg-query -W hearth", "root")
    assert story.messages() == before
    assert "SmolLM2" in story.run("hearth ls")
    back = json.loads(story.run("hearth update --rollback --json"))
    story.run(f"apt-get install --yes --allow-downgrades {back['command'][-1]}", "root")
    assert _version(package) in story.run("dpkg-query -W hearth", "root")
    assert "SmolLM2" in story.run("hearth ls")


def update_own_copy(story: Story, _model: Path, package: Path) -> None:
    """The same for a copy in the person's own folder (.run): switched beside, and back, by the program itself."""
    file = next(package.parent.glob("*.run"))
    (story.root / "tmp" / file.name).write_bytes(file.read_bytes())
    own = f"/{HOME}/.local/bin/hearth"
    lib = story.root / HOME / ".local/lib"
    story.run(f"sh /tmp/{file.name} --no-start")
    assert json.loads(story.run(f"{own} update --yes --json"))["then"] == "restart"
    assert (lib / "hearth").readlink().name == f"hearth-{NEXT}"
    assert story.run(f"{own} --version").startswith("hearth ")
    assert json.loads(story.run(f"{own} update --rollback --json"))["version"] == _version(package)
    assert (lib / "hearth").readlink().name == f"hearth-{_version(package)}"
    assert "SmolLM2" in story.run(f"{own} ls")
    story.run(f"/{HOME}/.local/bin/hearth-uninstall")
    assert not (lib / "hearth").exists()


def _version(package: Path) -> str:
    return package.name.split("_")[1]


def _write_next_run(package: Path, folder: Path) -> None:
    """The same program as a .run under a later number: the number is in the script, not in what follows it."""
    file = next(package.parent.glob("*.run"))
    data, number = file.read_bytes(), _version(package).encode()
    head, mark, rest = data.partition(b"\nexit 0\n")
    name = file.name.replace(_version(package), NEXT)
    (folder / name).write_bytes(head.replace(number, NEXT.encode()) + mark + rest)


def _allow(settings: Path, address: str, key: str) -> None:
    """What a person enters in the settings."""
    text = settings.read_text(encoding="utf-8") if settings.is_file() else ""
    settings.parent.mkdir(parents=True, exist_ok=True)
    table = f'\n[updates]\nlook = "never"\naddress = "{address}"\nkey = "{key}"\n'
    settings.write_text(text + table, encoding="utf-8")


def new_chat(story: Story, _model: Path, _package: Path) -> None:
    """The menu's entry "New chat" opens a window, which has the old chat still."""
    story.start("hearth --new-chat")
    story.shown()
    time.sleep(2)
    story.picture("8-new-chat")
    story.quit()


def purge(story: Story, _model: Path, _package: Path) -> None:
    """Purged: nothing of the program left, all of the user's there."""
    before = story.messages()
    story.run("dpkg --purge hearth", "root")
    left = [str(path) for path in (story.root / "usr").rglob("*hearth*")]
    assert left == [], left
    assert not (story.root / "usr/lib/hearth").exists()
    assert story.messages() == before
    assert list((story.root / DATA / "models").rglob("*Q4_1.gguf"))
    base = sqlite3.connect(story.root / DATA / "chats.sqlite")
    assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    base.close()


CHAPTERS = (
    first_start, search_and_download, load_and_chat, serve, double_click, update, update_own_copy, new_chat, purge,
)  # fmt: skip
