"""A process that transfers one file and can be killed: ``python -m tests.fakes.pull_child URL REPO FILE TARGET``.

It asks the local Hub itself where the bytes are: the Hub's own library costs half a second of each start.
"""

import http.client
import sys
from pathlib import Path
from urllib.parse import urlsplit

from app.models.hub_types import RemoteFile
from app.models.transfer import Options, Transfer
from app.models.transfer_net import Net


def locate(url: str, repo: str, name: str) -> RemoteFile:
    """What the Hub's headers say of a file."""
    path = f"/{repo}/resolve/main/{name}"
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("HEAD", path)
    headers = connection.getresponse().headers
    connection.close()
    etag = headers["X-Linked-ETag"].strip('"')
    return RemoteFile(url + path, int(headers["X-Linked-Size"]), etag, {}, etag, headers["X-Repo-Commit"])


def main() -> None:
    """Transfer, then print the sha256."""
    url, repo, name, target = sys.argv[1:5]
    options = Options(net=Net(stall=2.0), backoff=0.05, backoff_limit=0.5, sync_every=0.2)
    print("ready", flush=True)
    result = Transfer(Path(target), lambda: locate(url, repo, name), options=options).run()
    print(result.sha256, flush=True)


if __name__ == "__main__":
    main()
