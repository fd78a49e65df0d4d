"""Why a reading is missing, in the reader's language: the readers' own sentences with the path they speak of."""

import re

from PySide6.QtCore import QCoreApplication

translate = QCoreApplication.translate


def why_words(why: str) -> str:
    """A reader's reason; one that is not known here stays as it is."""
    for pattern, words in _known():
        found = re.fullmatch(pattern, why)
        if found:
            return words.format(path=found[1] if found.groups() else "")
    return why


def _known() -> tuple[tuple[str, str], ...]:
    return (
        (
            r"this system has no RAPL counters in (.*)",
            translate("Hardware", "this system has no RAPL counters in {path}"),
        ),
        (
            r"(.*) is readable by the administrator only",
            translate("Hardware", "{path} is readable by the administrator only"),
        ),
        (r"(.*) does not exist", translate("Hardware", "{path} does not exist")),
        (r"(.*) holds no number", translate("Hardware", "{path} holds no number")),
        (r"known from the second reading on", translate("Hardware", "known from the second reading on")),
        (r"its driver offers no readings", translate("Hardware", "its driver offers no readings")),
        (r"the driver offers no hwmon folder", translate("Hardware", "the driver offers no hwmon folder")),
    )
