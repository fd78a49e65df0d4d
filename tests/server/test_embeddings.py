"""A real embedding model over every API: its vectors are those of the original network."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2 as httpx
import numpy as np
import ollama
import openai
import pytest

from tests.fakes.minilm import Reference, needs_minilm

pytestmark = needs_minilm
TEXTS = [
    "The cat sleeps on the sofa.",
    "A kitten naps on the couch.",
    "Bond yields fell sharply on Tuesday.",
    "Xin chào thế giới, café déjà-vu! (42%)",
]
RECORDED = Path(__file__).parents[1] / "fakes" / "minilm_vectors.json"


@pytest.fixture(scope="module", autouse=True)
def loaded(real) -> Iterator[None]:
    """Loaded by the first request that names it; its worker goes with the last test."""
    answer = httpx.post(
        f"{real.address}/api/embed", json={"model": real.minilm, "input": "x"}, trust_env=False
    )
    assert answer.status_code == 200
    yield
    real.supervisor.unload(real.minilm).result(60)


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    network = Reference()
    return np.stack([network.vector(text) for text in TEXTS])


@pytest.fixture
def client(real) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{real.address}/v1", api_key="none", max_retries=0) as client:
        yield client


def same(found: object, wanted: np.ndarray) -> bool:
    """Every row's cosine is 0.999 or better."""
    rows = np.asarray(found, np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(wanted, axis=1)
    return rows.shape == wanted.shape and bool(((rows * wanted).sum(1) / lengths >= 0.999).all())


def test_the_reference_is_the_original(reference) -> None:
    """The vectors of sentence-transformers 6.2.0 with torch 2.15 on the same weights, recorded once."""
    recorded = json.loads(RECORDED.read_text("utf-8"))
    assert [row["text"] for row in recorded] == TEXTS
    assert same(reference, np.array([row["vector"] for row in recorded]))


def test_openai_s_vectors_are_the_original_s(client, real, reference) -> None:
    for form in ("float", "base64"):
        answer = client.embeddings.create(model=real.minilm, input=TEXTS, encoding_format=form)
        rows = [row.embedding for row in answer.data]
        rows = [np.frombuffer(base64.b64decode(r), "<f4") if isinstance(r, str) else r for r in rows]
        assert same(rows, reference)
    assert answer.usage.prompt_tokens == 47
    cat, kitten, bonds, _ = reference
    assert cat @ kitten > 0.5 > cat @ bonds


def test_fewer_dimensions_are_the_first_ones(client, real, reference) -> None:
    answer = client.embeddings.create(model=real.minilm, input=TEXTS, dimensions=64)
    assert same([row.embedding for row in answer.data], reference[:, :64])
    assert np.linalg.norm(answer.data[0].embedding) == pytest.approx(1, abs=1e-4)


def test_ollama_s_vectors_are_the_same(real, reference) -> None:
    with closing(ollama.Client(host=real.address, trust_env=False)) as client:
        assert same(client.embed(real.minilm, TEXTS).embeddings, reference)
        assert same([client.embeddings(real.minilm, TEXTS[0]).embedding], reference[:1])


def test_lm_studio_s_vectors_are_the_same(real, reference) -> None:
    url, body = f"{real.address}/api/v0/embeddings", {"model": real.minilm, "input": TEXTS}
    answer = httpx.post(url, json=body, trust_env=False, timeout=60).json()
    assert same([row["embedding"] for row in answer["data"]], reference)


def test_a_text_that_is_too_long_is_refused_in_words(client, real) -> None:
    with pytest.raises(openai.BadRequestError, match="512"):
        client.embeddings.create(model=real.minilm, input="word " * 600)
