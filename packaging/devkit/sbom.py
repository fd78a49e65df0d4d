"""The list of what a frozen program is made of, as CycloneDX 1.5 JSON (https://cyclonedx.org/docs/1.5/json/)."""

import datetime as dt
import json
import re
import urllib.parse
import uuid
from collections.abc import Iterable
from pathlib import Path

from devkit import engine, packs
from devkit.licences import Package, normal
from devkit.stamps import key_of, write_text

SPDX = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")


def write(
    path: Path, version: str, packages: Iterable[Package], epoch: int, runtime: Iterable[tuple[str, str]] = ()
) -> None:
    """Write it; the same input gives the same bytes, serial number included."""
    found = document(version, packages, epoch, runtime)
    write_text(path, json.dumps(found, indent=2, sort_keys=True) + "\n")


def document(
    version: str, packages: Iterable[Package], epoch: int, runtime: Iterable[tuple[str, str]] = ()
) -> dict[str, object]:
    """The document as JSON objects. ``runtime``: (name, version) of Python and of the system's packages."""
    components = [_python(package) for package in packages]
    components += [_engine(), *(_system(*item) for item in runtime)]
    when = dt.datetime.fromtimestamp(epoch, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, key_of(version, components))}",
        "version": 1,
        "metadata": {
            "timestamp": when,
            "component": {
                "type": "application", "name": "Hearth", "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
    }  # fmt: skip


def _python(package: Package) -> dict[str, object]:
    name = normal(package.name)
    found: dict[str, object] = {
        "type": "library", "name": package.name, "version": package.version,
        "purl": f"pkg:pypi/{name}@{package.version}", "bom-ref": f"{name}@{package.version}",
    }  # fmt: skip
    if package.licence:
        found["licenses"] = [_licence(package.licence)]
    if package.home.startswith("http"):
        found["externalReferences"] = [{"type": "website", "url": package.home}]
    return found


def _system(name: str, version: str) -> dict[str, object]:
    kind = "generic" if name == "python" else "deb/debian"
    purl = f"pkg:{kind}/{name}@{urllib.parse.quote(version, safe='')}"
    found: dict[str, object] = {
        "type": "library", "name": name, "version": version, "purl": purl, "bom-ref": f"{name}@{version}",
    }  # fmt: skip
    if name == "python":
        found["licenses"] = [{"license": {"id": "PSF-2.0"}}]
    return found


def _licence(text: str) -> dict[str, object]:
    """An SPDX expression where it looks like one, else the maker's words."""
    single = SPDX.fullmatch(text) and ("-" in text or " " in text or text in {"MIT", "ISC", "0BSD"})
    return {"expression": text} if single else {"license": {"name": text}}


def _engine() -> dict[str, object]:
    commit = packs.locked_commit() or "unknown"
    return {
        "type": "library", "name": "llama.cpp", "version": commit, "bom-ref": f"llama.cpp@{commit}",
        "purl": f"pkg:github/ggml-org/llama.cpp@{commit}", "licenses": [{"license": {"id": "MIT"}}],
        "description": f"built from {engine.PACKAGE}'s source archive",
    }  # fmt: skip
