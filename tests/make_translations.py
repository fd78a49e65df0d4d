"""Bring ``resources/translations/hearth_vi.ts`` up to date with the source and say what is still to be translated.

    python -m tests.make_translations [FILE of "source<TAB>translation" lines to fill in]

Texts that are gone are removed; translations that are there are kept. A text that needs another translation in one
context than elsewhere is edited in the .ts file.
"""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.make_core_strings import ROOT, TARGET, render

TS = ROOT / "resources" / "translations" / "hearth_vi.ts"
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n'


def update(file: Path) -> None:
    """Run ``pyside6-lupdate`` over the window's code into ``file``."""
    program = Path(sys.executable).with_name("pyside6-lupdate")
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "app" / "ui").rglob("*.py"))
    command = [str(program), *sources, "-no-obsolete", "-locations", "none", "-target-language", "vi_VN"]
    subprocess.run([*command, "-ts", str(file)], cwd=ROOT, check=True, capture_output=True)


def missing(file: Path) -> list[tuple[str, str]]:
    """(context, source) of every text without a translation."""
    found = []
    for context in ET.parse(file).getroot().iter("context"):
        for message in context.iter("message"):
            element = message.find("translation")
            if (
                element is None
                or element.get("type") == "unfinished"
                or not "".join(element.itertext()).strip()
            ):
                found.append((context.findtext("name", ""), message.findtext("source", "")))
    return found


def fill(file: Path, known: dict[str, str]) -> None:
    """Put translations into the places that lack one."""
    tree = ET.parse(file)
    for message in tree.getroot().iter("message"):
        element, text = message.find("translation"), known.get(message.findtext("source", ""))
        if element is None or text is None or element.get("type") != "unfinished":
            continue
        element.attrib.pop("type")
        forms = list(element.iter("numerusform"))
        if forms:
            forms[0].text = text
        else:
            element.text = text
    body = ET.tostring(tree.getroot(), encoding="unicode")
    file.write_text(HEAD + body + "\n", "utf-8")


def main() -> None:
    """Update, fill, report."""
    TARGET.write_text(render(), "utf-8")
    update(TS)
    known = {}
    for name in sys.argv[1:]:
        lines = Path(name).read_text("utf-8").splitlines()
        known |= dict(line.split("\t", 1) for line in lines if "\t" in line)
    if known:
        fill(TS, known)
    left = missing(TS)
    for context, source in left:
        print(f"{context}\t{source}")
    print(f"{len(left)} to be translated", file=sys.stderr)


if __name__ == "__main__":
    main()
