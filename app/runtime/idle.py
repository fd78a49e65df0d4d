"""What idle sequences cost here, and how much memory there is for them."""

from app.runtime.llama_context import Context

COPY_STEPS, DEVICE_COPY_STEPS = 8, 64
"""Steps of attention over a cell that cost as much as its way to main memory and back: on a processor (measured: 4 with
the starter model), and from a GPU's memory (at least: its bandwidth over the bus's; ``CopyCost`` measures it)."""


def copy_steps(context: Context) -> int:
    """See ``Scheduler``: idle cells cost something only where all sequences share one cache."""
    if not context.plan.kv_unified or context.model.recurrent:
        return 0
    return DEVICE_COPY_STEPS if context.on_device else COPY_STEPS


class CopyCost:
    """``copy_steps``, and on a GPU what copies really took there, once some were made.

    A step reads each weight once, so the weights over a step's time are the bandwidth at which it reads cells too. (For
    a small model that is too little: the device waits for its orders most of the time. And of experts only some are
    read. So what is measured only ever raises the estimate, and not with experts.)
    """

    def __init__(self, context: Context) -> None:
        self._usual = copy_steps(context)
        measurable = self._usual and context.on_device and not context.model.experts
        self._read = context.model.size if measurable else 0

    def steps(self, copying: float | None, step: float) -> int:
        """``copying``: seconds in which a byte comes out and back (None: nothing was copied yet). ``step``: seconds in
        which one token is written (0: none was)."""
        if not self._read or not copying or not step:
            return self._usual
        return max(self._usual, round(copying * self._read / step))


def free_memory() -> int:
    """Bytes of main memory that can be had without swapping."""
    import psutil  # noqa: PLC0415 - 30 ms, and the first idle conversation is soon enough

    return int(psutil.virtual_memory().available)
