"""A job of the lab in words: what it does, how it stands, what came of it."""

import math
from pathlib import Path

from PySide6.QtCore import QCoreApplication

from app.core.events import ErrorInfo
from app.optimize.orders import (
    ENDED,
    LabItem,
    MeasureOrder,
    Order,
    Price,
    PriceOrder,
    QuantOrder,
    RepeatOrder,
    SourceOrder,
    WishOrder,
)
from app.ui import causes, words
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.lab_draft import short_name

translate = QCoreApplication.translate


def title(item: LabItem) -> str:
    """What the job makes or measures."""
    order = item.order
    if isinstance(order, QuantOrder | RepeatOrder | WishOrder):
        return Path(order.target).stem
    if isinstance(order, SourceOrder):
        return translate("Lab", "Bring {source}").format(source=order.repo or Path(order.folder).name)
    if isinstance(order, PriceOrder):
        model = short_name(order.plan.model_path)
        text = translate("Lab", "Price of {count} context, {model}")
        return text.format(count=words.tokens(order.plan.n_ctx), model=model)
    if len(order.models) == 1:
        return translate("Lab", "Measure {model}").format(model=short_name(order.models[0]))
    count = len(order.models)
    return translate("Lab", "Measure %n model(s)", "", count)


def note(item: LabItem) -> str:
    """Where it stands while it runs, else what came of it or what it works on."""
    if item.state == "running":
        return stage(item)
    if item.state == "failed" and item.error is not None:
        return problem(item.error)
    if item.state == "paused" and item.interrupted:
        return translate("Lab", "Hearth was closed while it ran or waited.")
    if item.result is not None and item.result.price is not None:
        return price(item.result.price)
    if item.result is not None and not isinstance(item.order, MeasureOrder):
        return _made(item)
    return about(item.order)


def problem(error: ErrorInfo) -> str:
    """What went wrong and what to do: a job does not go on by itself."""
    described = describe(error)
    if error.code == "disk_full":  # of a transfer, which goes on by itself elsewhere
        return f"{described.text} " + translate("Lab", "Free some space, then try again.")
    return described.sentence


def about(order: Order) -> str:
    """What goes in."""
    if isinstance(order, SourceOrder):
        return translate("Lab", "to quantize from")
    if isinstance(order, PriceOrder):
        return translate("Lab", "past the length it was trained for")
    if isinstance(order, MeasureOrder):
        text = translate("Lab", "against {reference} on {texts}")
        return text.format(reference=short_name(order.reference), texts=", ".join(order.names))
    if isinstance(order, WishOrder):
        return _wished(order, short_name(order.source))
    if isinstance(order, RepeatOrder):
        text = translate("Lab", "again from {source}, as its recipe says")
        return text.format(source=short_name(order.source))
    return _from(order)


def _from(order: QuantOrder) -> str:
    source = short_name(order.source)
    if order.text:
        return translate("Lab", "from {source}, matrix from {text}").format(
            source=source, text=order.text_name
        )
    if order.matrix:
        file = Path(order.matrix).name
        return translate("Lab", "from {source}, matrix {file}").format(source=source, file=file)
    return translate("Lab", "from {source}").format(source=source)


def price(found: Price) -> str:
    """What a longer context costs, in words."""
    ratio = found.figures.get("ln_price")
    if ratio is None:
        return translate("Lab", "Within the length it was trained for: no price.")
    text = translate(
        "Lab", "Behind {count} tokens perplexity is {ratio} times what it would be with a context as trained."
    )
    return text.format(count=words.number(found.trained), ratio=words.number(math.exp(ratio), 2))


def _wished(order: WishOrder, source: str) -> str:
    if order.wish == "bytes":
        wish = translate("Lab", "at most {size}").format(size=words.size(round(order.value)))
    else:
        wish = translate("Lab", "KL at most {value}").format(value=words.number(order.value, 3))
    text = translate("Lab", "from {source}, {wish} on {text}")
    return text.format(source=source, wish=wish, text=order.text_name)


def _made(item: LabItem) -> str:
    result = item.result
    assert result is not None
    text = translate("Lab", "{size}, {bits} bits per weight").format(
        size=words.size(result.bytes), bits=words.number(result.bits, 2) if result.bits else DASH
    )
    if isinstance(item.order, SourceOrder):
        return translate("Lab", "{size}, in the library").format(size=words.size(result.bytes))
    if result.same:
        text += "; " + translate("Lab", "the same bytes as in the recipe")
    if result.fallbacks:
        count = len(result.fallbacks)
        text += "; " + translate("Lab", "%n tensor(s) took another type", "", count)
    return text


def stage(item: LabItem) -> str:
    """What it does at the moment."""
    pieces = translate("Lab", "{done} of {total}").format(
        done=words.number(item.done), total=words.number(item.total)
    )
    text = {
        "size": translate("Lab", "Working out the size"),
        "check": translate("Lab", "Comparing {name} with the recipe").format(name=item.about),
        "matrix": translate("Lab", "Importance matrix"),
        "download": translate("Lab", "Downloading {name}, MiB").format(name=item.about),
        "setup": translate("Lab", "Setting up the converter: {name}").format(
            name=causes.ours(item.about) or item.about
        ),
        "convert": translate("Lab", "Converting {name}, %").format(name=item.about),
        "price": translate("Lab", "Reading a long text"),
        "parts": translate("Lab", "What each part costs, {name}").format(name=item.about),
        "quantize": translate("Lab", "Tensor {name}").format(name=item.about),
        "reference": translate("Lab", "Reference {name}").format(name=item.about),
        "measure": translate("Lab", "Measuring {name}").format(name=item.about),
        "speed": translate("Lab", "Speed of {name}").format(name=item.about),
        "": translate("Lab", "Starting"),
    }[item.stage]
    said = f"{text}, {pieces}" if item.total else text
    if not item.crashed:
        return said
    again = translate("Lab", "Once more, since the process died ({how}): {stage}")
    return again.format(how=item.crashed, stage=said)


def state(item: LabItem) -> str:
    """The state in a word or two."""
    return {
        "queued": translate("Lab", "Waiting"),
        "running": translate("Lab", "Running"),
        "paused": translate("Lab", "Paused"),
        "done": translate("Lab", "Done"),
        "failed": translate("Lab", "Failed"),
        "cancelled": translate("Lab", "Cancelled"),
    }[item.state]


def state_token(item: LabItem) -> str:
    """The colour of the word."""
    return {"done": "good", "failed": "bad", "running": "accent"}.get(item.state, "text-2")


def state_icon(item: LabItem) -> str:
    """The shape beside the word."""
    return {
        "queued": "clock",
        "running": "play",
        "paused": "pause",
        "done": "check",
        "failed": "error",
        "cancelled": "close",
    }[item.state]


def summary(items: tuple[LabItem, ...]) -> str:
    """How many run and wait."""
    going = sum(item.state not in ENDED for item in items)
    return translate("Lab", "%n job(s) to do", "", going) if going else ""
