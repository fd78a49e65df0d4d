"""What the details of a model say: its facts as (title, text, tooltip), and its bytes by type."""

from PySide6.QtCore import QCoreApplication, QLocale

from app.core.types import ModelRecord
from app.ui import words
from app.ui.figures import DASH
from app.ui.library_rows import quant, trained

translate = QCoreApplication.translate
_MIX_TOKENS = ("plot-1", "plot-2", "plot-3", "plot-4")

Fact = tuple[str, str, str]
Part = tuple[str, float, str, str]


def facts(record: ModelRecord) -> list[Fact]:
    """From what it is to how it was used; a dash where the file does not say."""
    return [*_nature(record), *_origin(record), *_history(record)]


def _nature(record: ModelRecord) -> list[Fact]:
    summary = record.summary
    if summary is None:
        return []
    name = quant(record)
    context = trained(record)
    bits = summary.bits_per_weight
    return [
        (translate("Library", "Kind"), words.kind_words(summary.kind), ""),
        (translate("Library", "Architecture"), summary.architecture or DASH, _layers(record)),
        (
            translate("Library", "Parameters"),
            words.parameters(summary.parameters) or DASH,
            words.number(summary.parameters) if summary.parameters else "",
        ),
        (
            translate("Library", "Quant"),
            f"{name}: {words.quant_note(name)}" if name != DASH else DASH,
            words.quant_tip(name) if name != DASH else "",
        ),
        (translate("Library", "Bits per weight"), words.number(bits, 2) if bits else DASH, ""),
        (
            translate("Library", "Trained context"),
            translate("Library", "{count} tokens").format(count=words.number(context)) if context else DASH,
            "",
        ),
        (translate("Library", "Chat template"), _template(record), ""),
        (translate("Library", "Licence"), summary.license or DASH, ""),
    ]


def _layers(record: ModelRecord) -> str:
    summary = record.summary
    if summary is None or not summary.block_count:
        return ""
    parts = [translate("Library", "{count} layers").format(count=summary.block_count)]
    if summary.expert_count:
        text = translate("Library", "{used} of {count} experts at a time")
        parts.append(text.format(used=summary.expert_used_count or DASH, count=summary.expert_count))
    if summary.vocab_size:
        count = words.number(summary.vocab_size)
        parts.append(translate("Library", "vocabulary of {count}").format(count=count))
    return ", ".join(parts)


def _template(record: ModelRecord) -> str:
    summary = record.summary
    if summary is None or summary.kind != "text":
        return DASH
    return (
        translate("Library", "in the file")
        if summary.has_template
        else translate("Library", "none in the file")
    )


def _origin(record: ModelRecord) -> list[Fact]:
    source = record.source
    where = source.repo if source else translate("Library", "imported or found in a folder")
    revision = f"{source.file}\n{source.revision}".strip() if source else ""
    found = [
        (translate("Library", "Source"), where, revision),
        (
            translate("Library", "Size"),
            words.size(record.bytes),
            translate("Library", "{count} bytes").format(count=words.number(record.bytes)),
        ),
    ]
    if len(record.files) > 1:
        parts = len(record.files)
        text = translate("Library", "%n part(s)", "", parts)
        names = "\n".join(file.path for file in record.files)
        found.append((translate("Library", "Split set"), text, names))
    if record.projector:
        text = translate("Library", "beside it: it can see pictures")
        found.append((translate("Library", "Vision projector"), text, record.projector))
    return found


def _history(record: ModelRecord) -> list[Fact]:
    times = record.times_used
    return [
        (translate("Library", "Added"), words.ago(record.added_at), _date(record.added_at)),
        (
            translate("Library", "Last used"),
            words.ago(record.last_used_at) if record.last_used_at else translate("Library", "never"),
            _date(record.last_used_at),
        ),
        (translate("Library", "Times used"), words.number(times), ""),
    ]


def _date(moment: float | None) -> str:
    from PySide6.QtCore import QDateTime  # noqa: PLC0415 - tooltips only

    if not moment:
        return ""
    return QLocale().toString(QDateTime.fromSecsSinceEpoch(int(moment)), QLocale.FormatType.LongFormat)


def mix(record: ModelRecord) -> list[Part]:
    """(type, bytes, share in words, colour) of the types its tensors have, the largest first; small ones as one."""
    sizes = record.summary.tensor_bytes if record.summary else {}
    total = sum(sizes.values())
    if not total:
        return []
    ordered = sorted(sizes.items(), key=lambda pair: -pair[1])
    shown = ordered if len(ordered) <= len(_MIX_TOKENS) else ordered[: len(_MIX_TOKENS) - 1]
    rest = ordered[len(shown) :]
    if rest:
        shown = [*shown, (", ".join(name for name, _ in rest), sum(size for _, size in rest))]
    return [
        (name, float(size), _share(size / total), token)
        for (name, size), token in zip(shown, _MIX_TOKENS, strict=False)
    ]


def _share(value: float) -> str:
    return f"{words.number(value * 100, 0 if value >= 0.1 else 1)} %"
