"""A process that transfers one file and can be killed: ``python -m tests.fakes.pull_child URL REPO FILE TARGET``."""

import sys
from pathlib import Path

from app.models.hub import Hub
from app.models.transfer import Options, Transfer
from app.models.transfer_net import Net


def main() -> None:
    """Transfer, then print the sha256."""
    url, repo, name, target = sys.argv[1:5]
    client = Hub(url, lambda: None)
    options = Options(net=Net(stall=2.0), backoff=0.05, backoff_limit=0.5, sync_every=0.2)
    print("ready", flush=True)
    result = Transfer(Path(target), lambda: client.locate(repo, "main", name), options=options).run()
    print(result.sha256, flush=True)


if __name__ == "__main__":
    main()
