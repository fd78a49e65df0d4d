"""Why a plan is as it is, in plain words: a stable code, a template, and its numbers (translated in the window)."""

from msgspec import Struct

from app.core.errors import fill

REASONS = {
    "all_on_gpu": "The whole model runs on {device}.",
    "no_gpu": "There is no GPU the engine can use, so the model runs on the processor.",
    "cpu_asked": "The model runs on the processor, as asked.",
    "layers_asked": "{layers} of {total} layers run on the GPU, as asked.",
    "some_layers": "{layers} of {total} layers fit on the GPU; the rest runs on the processor and is slower.",
    "experts_in_memory": "The experts of {layers} of {total} layers stay in main memory; all else fits on the GPU.",
    "split": "The model is split over {count} GPUs.",
    "kv_smaller": "The KV cache is kept as {kind} instead of {wanted}, which saves {saved}.",
    "ctx_smaller": "The context is {n_ctx} tokens instead of {wanted}: more does not fit.",
    "ctx_trained": "The context is {n_ctx} tokens, which is what the model was trained for ({wanted} were asked).",
    "ctx_beyond": "The context of {n_ctx} tokens goes past the {trained} the model was trained for: the further, the"
    " worse it answers.",
    "does_not_fit": "It needs {needed} and {free} are free: the system will swap or stop it.",
    "from_disk": "It is larger than the free memory: parts will be read from the disk again and again, which is slow.",
    "guardrail": "The memory guardrail allows {allowed} on {device}; {needed} are needed, and would be free.",
    "gpu_tight": "{device} has {free} free and {needed} are needed: it may fail to load or spill into main memory.",
    "sequences_cost": "Each parallel answer keeps a memory of its own in this model ({each}).",
    "guessed": "The header could not be read: the numbers are estimates.",
    "memory_unknown": "{device} does not tell how much memory it has.",
}


class Reason(Struct, frozen=True):
    """One sentence about the plan."""

    code: str
    params: dict[str, str | int | float] = {}

    @property
    def text(self) -> str:
        """The English sentence."""
        return fill(REASONS[self.code], self.params)


def size(count: int) -> str:
    """Bytes in words, for reasons: ``3.4 GiB``."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(value) < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit in ("bytes", "KiB") or value >= 100 else f"{value:.1f} {unit}"
