"""LM Studio's own Python client searching a Hub and downloading from it, over its WebSocket protocol."""

import os
from collections.abc import Iterator

import lmstudio
import pytest

HOST = os.environ["HEARTH_ADDRESS"].removeprefix("http://")
REPO = os.environ["HEARTH_REPO"]


@pytest.fixture(scope="module")
def client() -> Iterator[lmstudio.Client]:
    with lmstudio.Client(HOST) as client:
        yield client


def test_what_is_found_can_be_downloaded(client: lmstudio.Client) -> None:
    found = client.repository.search_models("tiny", limit=5)
    (model,) = [item for item in found if item.search_result.name == REPO]
    options = {option.info.quantization: option for option in model.get_download_options()}
    assert set(options) == {"Q4_0", "Q8_0"}
    assert [name for name, option in options.items() if option.info.recommended] == ["Q8_0"]
    assert options["Q4_0"].info.fit_estimation in {"fullGPUOffload", "fitWithoutGPU"}
    assert options["Q4_0"].info.size_bytes > 1_000_000
    seen: list[tuple[int, int]] = []
    finals: list[bool] = []
    name = options["Q4_0"].download(
        on_progress=lambda update: seen.append((update.downloaded_bytes, update.total_bytes)),
        on_finalize=lambda: finals.append(True),
    )
    assert name == f"{REPO}:Q4_0"
    assert seen[-1][0] == seen[-1][1] == options["Q4_0"].info.size_bytes
    assert finals == [True]
    assert name in {model.model_key for model in client.list_downloaded_models()}


def test_nothing_of_another_kind_is_offered(client: lmstudio.Client) -> None:
    assert client.repository.search_models("tiny", compatibility_types=["safetensors"]) == []
    assert client.repository.search_models("no such model anywhere") == []
