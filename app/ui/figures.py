"""The figures of an answer in words: speeds, counts, times, why it ended."""

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QLocale

from app.core.generate import SamplingParams
from app.ui.entries import Entry

DASH = "–"


def speed_text(value: float | None) -> str:
    """Tokens per second: one decimal under 100, none above; a dash when unknown."""
    return DASH if value is None else QLocale().toString(float(value), "f", 1 if value < 100 else 0)


def seconds_text(value: float | None) -> str:
    """Seconds with two decimals under ten, one above."""
    return DASH if value is None else QLocale().toString(float(value), "f", 2 if value < 10 else 1)


def reason_text(entry: Entry) -> str:
    """Why the answer ended, in plain words; empty when it ended by itself or still goes on."""
    if entry.error is not None:
        return QCoreApplication.translate("Figures", "broke off")
    if entry.interrupted:
        return QCoreApplication.translate("Figures", "interrupted when Hearth ended")
    return {
        "length": QCoreApplication.translate("Figures", "reached the longest answer"),
        "cancelled": QCoreApplication.translate("Figures", "stopped by you"),
        "context_full": QCoreApplication.translate("Figures", "context is full"),
        "tool_calls": QCoreApplication.translate("Figures", "called a tool"),
    }.get(entry.reason or "", "")


def mark_words(mark: str) -> str:
    """What a person wants done with a message in the model's window; empty for nothing special."""
    return {
        "pinned": QCoreApplication.translate("PictureBar", "always kept"),
        "dropped": QCoreApplication.translate("PictureBar", "left out by you"),
        "summary": QCoreApplication.translate("PictureBar", "by its summary"),
    }.get(mark, "")


def figures_line(entry: Entry, fits: Callable[[str], bool] | None = None) -> str:
    """What a person wants done with it, model, speed, tokens, time to the first token and why it ended, on one line;
    as many of them as ``fits``: what it ended by, and what comes first, stay longest."""
    parts, last = _figures(entry), reason_text(entry)
    while True:
        line = "  ·  ".join([*parts, last] if last else parts)
        if fits is None or fits(line) or len(parts) < 2:
            return line
        parts.pop()


def _figures(entry: Entry) -> list[str]:
    parts = [part for part in (mark_words(entry.mark), _short(entry.model)) if part]
    if entry.timings is not None and entry.timings.decode_per_second is not None:
        text = QCoreApplication.translate("Figures", "{speed} tokens/s")
        parts.append(text.format(speed=speed_text(entry.timings.decode_per_second)))
    if entry.usage is not None and entry.usage.completion:
        tokens = (
            entry.usage.completion
        )  # a name of its own: lupdate skips a plural whose count is an attribute
        text = QCoreApplication.translate("Figures", "%n token(s)", "", tokens)
        parts.append(text)
    if entry.timings is not None and entry.timings.ttft > 0:
        text = QCoreApplication.translate("Figures", "{seconds} s to first token")
        parts.append(text.format(seconds=seconds_text(entry.timings.ttft)))
    return parts


def figures_table(entry: Entry) -> str:
    """Everything that was measured, one fact a line."""
    rows = [(QCoreApplication.translate("Figures", "Model"), entry.model or DASH)]
    if entry.quant and entry.quant not in entry.model:
        rows.append((QCoreApplication.translate("Figures", "Quantization"), entry.quant))
    if entry.timings is not None:
        rows += _timing_rows(entry)
    if entry.usage is not None:
        rows += _usage_rows(entry)
    if entry.seed is not None:
        rows.append((QCoreApplication.translate("Figures", "Seed"), str(entry.seed)))
    if entry.sampling is not None:
        rows.append((QCoreApplication.translate("Figures", "Settings"), settings_text(entry.sampling)))
    rows.append((QCoreApplication.translate("Figures", "Ended"), reason_text(entry) or _ended(entry)))
    return "\n".join(f"{name}: {value}" for name, value in rows)


def settings_text(sampling: SamplingParams) -> str:
    """What was set otherwise than usual, by llama.cpp's names, and always the temperature."""
    usual, parts = SamplingParams(), [f"temperature {QLocale().toString(sampling.temperature, 'g', 3)}"]
    for name in sampling.__struct_fields__:
        value = getattr(sampling, name)
        if name not in {"temperature", "seed", "logprobs"} and value != getattr(usual, name):
            shown = QLocale().toString(value, "g", 4) if isinstance(value, float) else str(value)
            parts.append(f"{name} {shown}")
    return ", ".join(parts)


def _ended(entry: Entry) -> str:
    if entry.reason is None:
        return DASH
    return QCoreApplication.translate("Figures", "by itself")


def _timing_rows(entry: Entry) -> list[tuple[str, str]]:
    assert entry.timings is not None
    timings = entry.timings
    return [
        (
            QCoreApplication.translate("Figures", "Prompt read, tokens/s (prefill)"),
            speed_text(timings.prefill_per_second),
        ),
        (
            QCoreApplication.translate("Figures", "Written, tokens/s after the first (decode)"),
            speed_text(timings.decode_per_second),
        ),
        (
            QCoreApplication.translate("Figures", "Time to first token (TTFT), s"),
            seconds_text(timings.ttft),
        ),
        (QCoreApplication.translate("Figures", "Waited in the queue, s"), seconds_text(timings.queued)),
    ]


def _usage_rows(entry: Entry) -> list[tuple[str, str]]:
    assert entry.usage is not None
    usage, count = entry.usage, QLocale().toString
    return [
        (QCoreApplication.translate("Figures", "Prompt tokens"), count(usage.prompt)),
        (QCoreApplication.translate("Figures", "of them known already (cached)"), count(usage.cached)),
        (QCoreApplication.translate("Figures", "Tokens written"), count(usage.completion)),
    ]


def _short(model: str) -> str:
    name, _, quant = model.rsplit("/", 1)[-1].partition(":")
    return " ".join(part for part in (name.removesuffix("-GGUF").removesuffix("-gguf"), quant) if part)
