"""Single packages of the next Debian release, unpacked beside the system: never installed, the system's own package
lists untouched. apt fetches and checks them with the machine's own mirror and keys."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from devkit.say import Problem
from devkit.shell import run_logged
from devkit.stamps import remove
from devkit.venvs import BUILDER

SUITES = {"bookworm": "trixie"}
"""Release -> the one after it."""
APT = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FOLDERS = ("lists/partial", "archives/partial", "parts", "debs", "root")
_OLD_STYLE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$", re.MULTILINE)


def next_suite(os_release: Mapping[str, str]) -> str:
    """The release after this machine's. Raises Problem where that is not known."""
    here = os_release.get("VERSION_CODENAME", "")
    if os_release.get("ID") != "debian" or here not in SUITES:
        raise Problem(f"Newer packages are taken from the release after {', '.join(SUITES)} (Debian) only.")
    return SUITES[here]


def system_sources(apt: Path = APT) -> list[str]:
    """The texts of apt's own sources, both styles, comments left out."""
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.sources"))]
    files += sorted((apt / "sources.list.d").glob("*.list"))
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
    return [re.sub(r"^\s*#.*\n?", "", text, flags=re.MULTILINE) for text in texts]


def mirror(texts: Iterable[str], suite: str) -> str:
    """The address that this machine takes ``suite`` from. Raises Problem when apt has none."""
    for text in texts:
        for address, suites, components in [*_stanzas(text), *_OLD_STYLE.findall(text)]:
            if suite in suites.split() and "main" in components.split():
                return str(address)
    raise Problem(f"apt has no source for {suite} on this machine: the newer packages can't be fetched.")


def _stanzas(text: str) -> list[tuple[str, str, str]]:
    """(first address, suites, components) of each deb822 paragraph."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([A-Za-z-]+):\s*(.*)$", paragraph, re.MULTILINE))
        if fields.get("URIs") and "deb" in fields.get("Types", "").split():
            found.append((fields["URIs"].split()[0], fields.get("Suites", ""), fields.get("Components", "")))
    return found


def source_entry(address: str, suite: str, keyring: Path = KEYRING) -> str:
    """The one source of our own apt configuration."""
    signed = f"Signed-By: {keyring}\n" if keyring.exists() else ""
    return f"Types: deb\nURIs: {address}\nSuites: {suite}\nComponents: main\n{signed}"


def apt_options(folder: Path) -> list[str]:
    """apt with lists, archives, sources and installed packages (none) of its own below ``folder``."""
    places = {
        "Dir::Etc::sourcelist": Path("/dev/null"),
        "Dir::Etc::sourceparts": folder / "parts",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": Path("/dev/null"),
        "Dir::Cache": folder,
    }
    settings = [f"{name}={place}" for name, place in places.items()]
    settings.append("APT::Sandbox::User=root")  # its usual user may not write into a home folder
    return [part for setting in settings for part in ("-o", setting)]


def fetch(packages: Sequence[str], entry: str, folder: Path) -> Path:
    """Download and unpack; returns the root they are below. Raises Problem with apt's last lines."""
    remove(folder)
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "parts" / "next.sources").write_text(entry, encoding="utf-8")
    log = BUILDER.log("vulkan-packages")
    apt: list[str | Path] = ["env", "-C", folder / "debs", "apt-get", *apt_options(folder)]
    run_logged([*apt, "update"], log, doing="reading the next release's package list")
    run_logged([*apt, "download", *packages], log, doing="fetching packages of the next release")
    for package in sorted((folder / "debs").glob("*.deb")):
        run_logged(["dpkg", "-x", package, folder / "root"], log, doing="unpacking packages")
    return folder / "root"
