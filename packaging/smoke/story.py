"""A person's story with the installed program, in a chroot, by synthetic input: ``story.py ROOT OUT PACKAGE.deb``.

Run by ``devkit/trial.py`` in a network namespace of its own. The Hub, the X server and the input are on this
side; the program is on the other, as user ``ann``. Every step waits for what it must have caused, on disk, over HTTP or
on the screen, and leaves a picture.
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fakes.hub_data import starter_repo
from tests.fakes.hub_server import LocalHub
from tests.fakes.update_site import UpdateSite

DISPLAY = "127.0.0.1:77"
SIZE = (1280, 800)
HOME = "home/ann"
DATA = f"{HOME}/.local/share/Hearth"
ACCENT = bytes.fromhex("B5471B")
LEAST = 40
"""Points, every third in both directions, that make a button and not a ring."""
PATIENCE = 90.0
MOST_START_S = 0.6


class Story:
    """The machine: a chroot, a screen, a Hub, and a place where newer versions are."""

    def __init__(self, root: Path, out: Path, hub: LocalHub, site: UpdateSite) -> None:
        self.root, self.out, self.hub, self.site = root, out, hub, site
        self.started: list[subprocess.Popen[bytes]] = []
        self.screen = subprocess.Popen(
            [
                "Xvfb",
                ":77",
                "-screen",
                "0",
                f"{SIZE[0]}x{SIZE[1]}x24",
                "-ac",
                "-listen",
                "tcp",
                "-nolisten",
                "local",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.until("the screen", lambda: _answers(6077))

    # ------------------------------------------------------------------ the program

    def run(self, command: str, user: str = "ann", seconds: float = 300.0) -> str:
        """Run in the chroot and return what it prints; a failure ends the story."""
        done = subprocess.run(
            self._inside(command, user), capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode:
            raise SystemExit(
                f"{command!r} failed with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        return done.stdout

    def start(self, command: str = "hearth", **environ: str) -> subprocess.Popen[bytes]:
        """Start the window; its output goes beside the pictures."""
        variables = " ".join(f"{key}={value}" for key, value in environ.items())
        log = (self.out / f"program-{len(self.started)}.log").open("wb")
        process = subprocess.Popen(self._inside(f"{variables} {command}", "ann"), stdout=log, stderr=log)
        self.started.append(process)
        return process

    def _inside(self, command: str, user: str) -> list[str]:
        plain = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": f"/{HOME}" if user == "ann" else "/root",
            "LANG": "C.UTF-8", "DISPLAY": DISPLAY, "HF_ENDPOINT": self.hub.url, "DEBIAN_FRONTEND": "noninteractive",
            "XDG_CURRENT_DESKTOP": "GNOME", "GGML_VK_VISIBLE_DEVICES": "",
        }  # fmt: skip
        settings = " ".join(f"{key}='{value}'" for key, value in plain.items())
        script = f"cd; exec env -i {settings} {command}"
        return [
            "chroot",
            "--userspec",
            f"{user}:{user}",
            str(self.root),
            "/bin/sh",
            "-c",
            f"HOME=/{HOME}; {script}",
        ]

    def quit(self) -> None:
        """Close the window as a person does, and wait for the end."""
        self.keys("ctrl+q")
        process = self.started[-1]
        self.until("the program's end", lambda: process.poll() is not None, 30)

    # ------------------------------------------------------------------ the person

    def xdotool(self, *arguments: str) -> str:
        """Run it on our screen; returns what it prints."""
        done = subprocess.run(
            ["xdotool", *arguments],
            env={**os.environ, "DISPLAY": DISPLAY},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    def window(self) -> str:
        """The id of the program's window, or nothing."""
        return self.xdotool("search", "--onlyvisible", "--class", "hearth").partition("\n")[0]

    def shown(self) -> None:
        """Wait for the window and give it the keyboard: there is no window manager to do so."""
        self.until("the window", self.window, 60)
        self.xdotool("windowmove", self.window(), "0", "0", "windowsize", self.window(), *map(str, SIZE))
        self.xdotool("windowfocus", self.window())
        time.sleep(1)

    def keys(self, *names: str) -> None:
        """Press one after the other, in xdotool's names."""
        for name in names:
            self.xdotool("key", "--clearmodifiers", name)
            time.sleep(0.3)

    def write(self, text: str) -> None:
        """Type it."""
        self.xdotool("type", "--delay", "20", text)
        time.sleep(0.3)

    def click(self, x: int, y: int) -> None:
        """Press the left button there."""
        self.xdotool("mousemove", str(x), str(y), "click", "1")
        time.sleep(0.5)

    def picture(self, name: str) -> None:
        """Keep the screen as it is."""
        target = self.out / f"{name}.png"
        subprocess.run(["import", "-display", DISPLAY, "-window", "root", str(target)], check=True)

    def accented(self, left: int, top: int, right: int, bottom: int) -> tuple[int, int] | None:
        """The middle of what is drawn in the accent's colour in this part of the screen: the button that acts."""
        self.picture("now")
        command = ["convert", str(self.out / "now.png"), "-depth", "8", "rgb:-"]
        pixels = subprocess.run(command, capture_output=True, check=True).stdout
        found = [
            (x, y)
            for y in range(top, bottom, 3)
            for x in range(left, right, 3)
            if pixels[3 * (y * SIZE[0] + x) :][:3] == ACCENT
        ]
        if len(found) < LEAST:
            return None
        return found[len(found) // 2]

    # ------------------------------------------------------------------ seeing

    def until(self, what: str, done: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until it is so; else a last picture, and the end."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                if what != "the screen":
                    self.picture("failed")
                raise SystemExit(f"waited {seconds:.0f} s for {what} in vain")
            time.sleep(0.2)
        print(f"    {what}", flush=True)

    def messages(self) -> list[tuple[str, str]]:
        """(role, text) of every message on disk."""
        path = self.root / DATA / "chats.sqlite"
        if not path.exists():
            return []
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2) as base:
                return list(base.execute("SELECT role, text FROM message ORDER BY id"))
        except sqlite3.OperationalError:
            return []

    def close(self) -> None:
        """End what was started."""
        for process in [*self.started, self.screen]:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def start_time(story: Story) -> None:
    """From the command to the first painted window, the best of five: other work on the machine only ever adds."""
    found = []
    for _ in range(5):
        begun = time.time()
        out = story.run("HEARTH_TRACE_START=quit hearth")
        found.append(float(out.split("painted ")[1].split()[0]) - begun)
    print(f"    first window after {min(found):.2f} s (best of {len(found)}; limit {MOST_START_S})")
    (story.out / "start.json").write_text(json.dumps(found), encoding="utf-8")


def main(root: Path, out: Path, package: Path) -> None:
    """The whole story."""
    model = Path(os.environ["HEARTH_STARTER"])
    repo = starter_repo(model)
    repo.files = {
        name: file
        for name, file in repo.files.items()
        if not name.endswith(".gguf") or name.endswith(model.name)
    }
    with LocalHub([repo]) as hub, UpdateSite(out / "site") as site:
        story = Story(root, out, hub, site)
        try:
            tell(story, model, package)
        finally:
            story.close()


def tell(story: Story, model: Path, package: Path) -> None:
    """Chapter by chapter."""
    from smoke.chapters import CHAPTERS  # noqa: PLC0415 - which imports this module

    for chapter in CHAPTERS:
        print(f"  - {chapter.__doc__}", flush=True)
        chapter(story, model, package)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
