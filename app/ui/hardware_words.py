"""Why a reading is missing or a backend is not used, in the reader's language: the core's own sentences, with the
paths, numbers and names they speak of.
"""

import re

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

READINGS = (
    QT_TRANSLATE_NOOP("Hardware", "this system has no RAPL counters in {path}"),
    QT_TRANSLATE_NOOP("Hardware", "{path} is readable by the administrator only"),
    QT_TRANSLATE_NOOP("Hardware", "{path} does not exist"),
    QT_TRANSLATE_NOOP("Hardware", "{path} holds no number"),
    QT_TRANSLATE_NOOP("Hardware", "known from the second reading on"),
    QT_TRANSLATE_NOOP("Hardware", "its driver offers no readings"),
    QT_TRANSLATE_NOOP("Hardware", "the driver offers no hwmon folder"),
    QT_TRANSLATE_NOOP("Hardware", "the driver offers no temperature"),
    QT_TRANSLATE_NOOP("Hardware", "the driver offers no clock"),
    QT_TRANSLATE_NOOP("Hardware", "the driver offers no throttle reasons"),
    QT_TRANSLATE_NOOP("Hardware", "the driver does not say which process holds how much"),
    QT_TRANSLATE_NOOP("Hardware", "it shares main memory"),
    QT_TRANSLATE_NOOP("Hardware", "Level Zero with Sysman is not installed"),
    QT_TRANSLATE_NOOP("Hardware", "Level Zero's Sysman can't be started ({code})"),
    QT_TRANSLATE_NOOP("Hardware", "Level Zero's Sysman shows no card"),
    QT_TRANSLATE_NOOP("Hardware", "/proc/<pid>/fdinfo can't be read"),
    QT_TRANSLATE_NOOP("Hardware", "this card's gpu_metrics has another version than 1.3"),
    QT_TRANSLATE_NOOP("Hardware", "this card does not tell"),
    QT_TRANSLATE_NOOP("Hardware", "this system has no temperature sensor of the processor"),
    QT_TRANSLATE_NOOP("Hardware", "this system does not tell the processor's clock"),
    QT_TRANSLATE_NOOP("Hardware", "this system does not count how often heat slows the processor"),
    QT_TRANSLATE_NOOP("Hardware", "the package nvidia-ml-py is not installed"),
    QT_TRANSLATE_NOOP("Hardware", "macOS tells it to the administrator's powermetrics only"),
    QT_TRANSLATE_NOOP("Hardware", "reading failed: {why}"),
    QT_TRANSLATE_NOOP("Hardware", "{path} is closed to this user, who is not in the group {group}"),
    QT_TRANSLATE_NOOP("Hardware", "the engine has no backend for it ({names}): a pack brings one"),
    QT_TRANSLATE_NOOP("Hardware", "its driver {version} is too old: CUDA {cuda} needs {least} or newer"),
    QT_TRANSLATE_NOOP(
        "Hardware", "the {backend} pack has no code for it ({target}): it was built for {built}"
    ),
    QT_TRANSLATE_NOOP("Hardware", "{backend} shows no device for it: its driver for {same} is missing"),
)
"""What ``app.hardware`` says of readings."""
PACKS = (
    QT_TRANSLATE_NOOP("Hardware", "did not answer within {seconds} s"),
    QT_TRANSLATE_NOOP("Hardware", "could not be started: {why}"),
    QT_TRANSLATE_NOOP("Hardware", "crashed with {signal}: {why}"),
    QT_TRANSLATE_NOOP("Hardware", "failed with code {code}: {why}"),
    QT_TRANSLATE_NOOP("Hardware", "it said nothing"),
    QT_TRANSLATE_NOOP("Hardware", "the engine {why} when it was tried out"),
    QT_TRANSLATE_NOOP("Hardware", "another pack for {backend} is used"),
    QT_TRANSLATE_NOOP("Hardware", "it was built for llama.cpp {built}, and the engine is {engine}"),
    QT_TRANSLATE_NOOP("Hardware", "its manifest.json can't be read: {why}"),
    QT_TRANSLATE_NOOP("Hardware", "its manifest.json is damaged: {why}"),
    QT_TRANSLATE_NOOP("Hardware", "its manifest.json does not list its library"),
    QT_TRANSLATE_NOOP("Hardware", "its manifest.json names {file}, which is not in the pack"),
    QT_TRANSLATE_NOOP("Hardware", "{file} can't be read: {why}"),
    QT_TRANSLATE_NOOP("Hardware", "{file} is not the file that its manifest names (its hash differs)"),
    QT_TRANSLATE_NOOP("Hardware", "the engine has {backend} already: its devices would be listed twice"),
    QT_TRANSLATE_NOOP("Hardware", "ggml refused {file}: {why}"),
    QT_TRANSLATE_NOOP("Hardware", "it is of another version, or its driver is missing"),
    QT_TRANSLATE_NOOP("Hardware", "its manifest.json has {name} where a plain name must be"),
    QT_TRANSLATE_NOOP("Hardware", "{file} is not the file that its manifest names (its size differs)"),
    QT_TRANSLATE_NOOP("Hardware", "it is for {wanted}, and this is {here}"),
    QT_TRANSLATE_NOOP(
        "Hardware", "it needs {vendor}'s driver {floor} or newer, and {have} is here: update the driver"
    ),
    QT_TRANSLATE_NOOP("Hardware", "it has no code for the GPU here ({cards}): it was built for {built}"),
    QT_TRANSLATE_NOOP("Hardware", "what was fetched is not what #sha256= names"),
    QT_TRANSLATE_NOOP("Hardware", "an http address needs #sha256=HEX at its end, or use https"),
    QT_TRANSLATE_NOOP("Hardware", "it is larger than {size}"),
    QT_TRANSLATE_NOOP("Hardware", "it is neither a folder nor a .tar.xz, .tar.gz or .zip archive"),
    QT_TRANSLATE_NOOP("Hardware", "the archive is damaged: {why}"),
    QT_TRANSLATE_NOOP("Hardware", "the archive has {name}, which is not in a pack"),
    QT_TRANSLATE_NOOP("Hardware", "it has no manifest.json: it is no backend pack"),
    QT_TRANSLATE_NOOP("Hardware", "there is no such file"),
    QT_TRANSLATE_NOOP("Hardware", "turned off by you"),
    QT_TRANSLATE_NOOP("Hardware", "the engine crashed on it twice in a row ({why})"),
    QT_TRANSLATE_NOOP("Hardware", "no NVIDIA driver is here, which it needs ({said})"),
    QT_TRANSLATE_NOOP("Hardware", "AMD's ROCm is not here, which it needs ({said})"),
    QT_TRANSLATE_NOOP(
        "Hardware", "the Vulkan loader is not here, which it needs (Debian: libvulkan1) ({said})"
    ),
)
"""What is said of backend packs and of the process that tries them out."""


def why_words(why: str) -> str:
    """A reason of the core; one that is not known here stays as it is."""
    for source in (*READINGS, *PACKS):
        found = re.fullmatch(_pattern(str(source)), why, re.DOTALL)
        if found:
            words = QCoreApplication.translate("Hardware", str(source))
            return words.format(**{name: why_words(said) for name, said in found.groupdict().items()})
    return why


def _pattern(source: str) -> str:
    return re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(source))
