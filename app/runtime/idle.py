"""What idle sequences cost here, and how much memory there is for them."""

from app.runtime.llama_context import Context

COPY_STEPS, DEVICE_COPY_STEPS = 8, 64
"""Steps of attention over a cell that cost as much as its way to main memory and back: on a processor (measured: 4 with
the starter model), and from a GPU's memory (estimated: its bandwidth over the bus's)."""


def copy_steps(context: Context) -> int:
    """See ``Scheduler``: idle cells cost something only where all sequences share one cache."""
    if not context.plan.kv_unified or context.model.recurrent:
        return 0
    return DEVICE_COPY_STEPS if context.on_device else COPY_STEPS


def free_memory() -> int:
    """Bytes of main memory that can be had without swapping."""
    import psutil  # noqa: PLC0415 - 30 ms, and the first idle conversation is soon enough

    return int(psutil.virtual_memory().available)
