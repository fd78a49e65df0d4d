"""``hearth search|pull``: models on the Hub."""

import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Sequence

from app.cli.models import count
from app.cli.output import emit, size, table
from app.compose import Services, compose
from app.core.errors import HubNoSuchFileError, UsageError, from_code
from app.core.events import DownloadChanged, ErrorInfo
from app.models.downloads import ACCESS
from app.models.hub import QuantFile, RepoDetail, SearchFilters, parse_address
from app.models.projectors import projector_for

ENDED = ("done", "failed", "cancelled")
PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0")
BILLION = 10**9


def search(args: Namespace) -> int:
    """One line per repository: parameters, architecture, downloads, likes."""
    running = compose()
    try:
        filters = _filters(args, running)
        page = running.hub.search(" ".join(args.query), sort=args.sort, limit=args.limit, filters=filters)
    finally:
        running.close()
    items = page.items[: args.limit]
    rows = [
        (
            item.id + (" (gated)" if item.gated else ""),
            count(item.parameters),
            item.architecture or "-",
            count(item.downloads),
            str(item.likes or 0),
        )
        for item in items
    ]
    text = table(
        ("REPOSITORY", "PARAMETERS", "ARCHITECTURE", "DOWNLOADS", "LIKES"), rows, frozenset({1, 3, 4})
    )
    emit(items, args.json, text if rows else "Nothing on the Hub matches. Try fewer words or filters.")
    return 0


def _filters(args: Namespace, running: Services) -> SearchFilters | None:
    high = None if args.max is None else int(args.max * BILLION)
    if args.fits:
        from app.planning.variants import largest_fitting  # noqa: PLC0415 - asks the hardware

        bound = largest_fitting(running.machine(), running.settings.value.engine.n_ctx)
        high = bound if high is None else min(high, bound)
    filters = SearchFilters(
        author=args.author,
        task=args.task,
        license=args.license,
        architecture=args.architecture,
        gated=args.gated,
        min_parameters=None if args.min is None else int(args.min * BILLION),
        max_parameters=high,
        qat=args.qat,
    )
    return None if filters == SearchFilters() else filters


def pull(args: Namespace) -> int:
    """Download, verify, and add to the library. Ctrl-C keeps the bytes; the same command goes on."""
    running = compose()
    watcher = _Watcher(sys.stderr.isatty() and not args.json, running.hub.page_url)
    running.bus.subscribe(DownloadChanged, watcher.take)
    try:
        chosen, detail = _find(running, args.target)
        # Only these: what an open window or an earlier start has in its queue is theirs.
        running.downloads.start(resume=False)
        beside = None if args.no_mmproj else projector_for(chosen, detail.quants, running.library.records())
        for part in (beside, chosen) if beside else (chosen,):
            watcher.follow(running.downloads.enqueue(part), running.downloads.snapshots())
            last = watcher.wait()
            if last.state != "done":
                break
    except KeyboardInterrupt:
        print(f"\nStopped; the bytes are kept. `hearth pull {args.target}` goes on.", file=sys.stderr)
        return 130
    finally:
        running.close()
    if last.state == "waiting":
        _say_how_to_get_access(running, last, args.target)
    if last.state != "done":
        raise _error(last.error)
    emit(last, args.json, f"{last.model or chosen.id} is ready: hearth chat {last.model or chosen.id}")
    return 0


def _find(running: Services, target: str) -> tuple[QuantFile, RepoDetail]:
    """What ``REPO[:QUANT]`` or a pasted address names, and what else is there."""
    address = parse_address(target, running.hub.endpoint)
    if address is None:
        raise UsageError(
            detail=f"{target!r} is not a model on the Hub: write OWNER/REPO[:QUANT] or its address."
        )
    detail = running.hub.repo(address.repo, address.revision)
    return choose_quant(detail, address.file or address.quant or ""), detail


def _say_how_to_get_access(running: Services, last: DownloadChanged, target: str) -> None:
    page = running.hub.page_url(last.repo)
    print(
        f"Accept it on {page}, then set HF_TOKEN to a token of that account (or sign in in Hearth's settings)."
        f" `hearth pull {target}` goes on then.",
        file=sys.stderr,
    )


def choose_quant(detail: RepoDetail, quant: str) -> QuantFile:
    """The quant of that name, or the usual choice. Raises HubNoSuchFileError naming those there are."""
    usable = [item for item in detail.quants if item.kind in ("text", "embedding", "reranker")] or list(
        detail.quants
    )
    for name in (quant,) if quant else PREFERRED:
        for item in (*usable, *detail.quants):
            if item.quant.lower() == name.lower() or any(part.name == name for part in item.files):
                return item
    if quant or not usable:
        names = ", ".join(item.quant for item in usable) or "—"
        raise HubNoSuchFileError(repo=detail.id, wanted=quant or "GGUF", found=names)
    return min(usable, key=lambda item: item.bytes)


def _error(error: ErrorInfo | None) -> Exception:
    return from_code(error.code, error.params) if error else UsageError(detail="The download was cancelled.")


class _Watcher:
    """Follows one download: a bar on a terminal; elsewhere a line at each tenth, and what it waits for, once."""

    def __init__(self, bar: bool, page: Callable[[str], str]) -> None:
        self._page = page
        self._bar, self._tenth, self._told = bar, -1, ""
        self._changed = threading.Event()
        self._latest: dict[str, DownloadChanged] = {}
        self._id = ""

    def take(self, event: DownloadChanged) -> None:
        """Called by the Bus."""
        self._latest[event.id] = event
        self._changed.set()

    def follow(self, download: str, known: Sequence[DownloadChanged]) -> None:
        """Watch this one from now on; it may have moved already."""
        self._id = download
        for event in known:
            self._latest.setdefault(event.id, event)
        self._changed.set()

    def wait(self) -> DownloadChanged:
        """Until it ends; without a terminal also until it waits for what only a person can do elsewhere."""
        while True:
            self._changed.wait(0.5)
            self._changed.clear()
            event = self._latest.get(self._id)
            if event is None:
                continue
            self._show(event)
            if event.state in ENDED or (_refused(event) and not self._bar):
                return event

    def _show(self, event: DownloadChanged) -> None:
        share = event.done / event.total if event.total else 0.0
        reason = event.error.message if event.error and event.state == "waiting" else event.note
        speed = f" {size(event.speed)}/s" if event.speed else ""
        left = f" {_clock(event.eta)} left" if event.eta is not None else ""
        line = f"{event.file} {share:.0%} of {size(event.total)}{speed}{left} {event.state}"
        if reason and reason != self._told:
            # On a line of its own, so that the bar does not write over it.
            page = f" Its page: {self._page(event.repo)}" if self._bar and _refused(event) else ""
            start, end = ("\r", ERASE) if self._bar else ("", "")
            print(f"{start}{reason}{page}{end}", file=sys.stderr, flush=True)
        self._told = reason
        if self._bar:
            end = "\n" if event.state in ENDED else ""
            print(f"\r{line}{ERASE}", end=end, file=sys.stderr, flush=True)
        elif int(share * 10) != self._tenth or event.state in ENDED:
            self._tenth = int(share * 10)
            print(line, file=sys.stderr, flush=True)


ERASE = "\x1b[K"


def _refused(event: DownloadChanged) -> bool:
    return event.state == "waiting" and event.error is not None and event.error.code in ACCESS


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
