"""Vectors of texts from a real worker: the starter model read as an embedding model, and a small reranker made here."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import BadRequestError, PromptTooLongError
from app.core.events import Bus
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import MODEL, small_plan
from tests.fakes.tiny_models import reranker_weights, score, write_reranker


@pytest.fixture(scope="module")
def engine(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    supervisor = Supervisor(Bus(), tmp_path_factory.mktemp("logs"))
    plan = small_plan(starter, embeddings=True, pooling="mean", n_ctx=512, n_ubatch=512)
    supervisor.ensure_ready(MODEL, plan).result(60)
    yield supervisor
    supervisor.close()


def cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_alike_texts_are_near(engine: Supervisor) -> None:
    texts = ["The cat sleeps on the sofa.", "A cat is sleeping on a couch.", "def f(x): return x ** 2 + 1"]
    found = engine.embed(MODEL, texts).result(60)
    assert found.tokens > 20
    near, far = cosine(found.vectors[0], found.vectors[1]), cosine(found.vectors[0], found.vectors[2])
    assert near > far
    assert all(math.isclose(cosine(v, v), 1.0, rel_tol=1e-4) for v in found.vectors)
    assert {len(vector) for vector in found.vectors} == {576}


def test_many_texts_come_back_in_order(engine: Supervisor) -> None:
    texts = [f"Sentence number {n} " * (n % 7 + 1) for n in range(18)]
    together = engine.embed(MODEL, texts).result(60).vectors
    alone = [engine.embed(MODEL, [text]).result(60).vectors[0] for text in texts[::6]]
    for left, right in zip(together[::6], alone, strict=True):
        assert cosine(left, right) > 0.999


def test_tokens_are_taken_too(engine: Supervisor) -> None:
    tokens = engine.tokenize(MODEL, "hello world", special=True).result(60)
    by_tokens = engine.embed(MODEL, [tokens]).result(60).vectors[0]
    assert cosine(by_tokens, engine.embed(MODEL, ["hello world"]).result(60).vectors[0]) > 0.999
    assert engine.embed(MODEL, []).result(60).vectors == []


def test_raw_vectors_keep_their_length(engine: Supervisor) -> None:
    (raw,) = engine.embed(MODEL, ["hello"], normalize=False).result(60).vectors
    assert cosine(raw, raw) > 1.5


def test_what_can_not_be_embedded_is_refused(engine: Supervisor) -> None:
    with pytest.raises(PromptTooLongError):
        engine.embed(MODEL, ["word " * 600]).result(60)
    with pytest.raises(BadRequestError, match="empty"):
        engine.embed(MODEL, [()]).result(60)
    with pytest.raises(BadRequestError, match="no token"):
        engine.embed(MODEL, [(10**7,)]).result(60)
    with pytest.raises(BadRequestError, match="not a reranker"):
        engine.embed(MODEL, ["a"], query="b").result(60)


def test_a_model_for_text_says_so(starter: Path, tmp_path: Path) -> None:
    supervisor = Supervisor(Bus(), tmp_path)
    try:
        supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)
        with pytest.raises(BadRequestError, match="write text"):
            supervisor.embed(MODEL, ["a"]).result(60)
    finally:
        supervisor.close()


# --------------------------------------------------------------------------- a reranker


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    folder = tmp_path_factory.mktemp("reranker")
    supervisor = Supervisor(Bus(), folder)
    path = write_reranker(folder / "reranker.gguf")
    plan = small_plan(path, embeddings=True, n_ctx=128, n_batch=128, n_ubatch=128, n_threads=1)
    supervisor.ensure_ready(MODEL, plan).result(60)
    yield supervisor
    supervisor.close()


def scores(engine: Supervisor, query: str, documents: list[str]) -> list[float]:
    found = engine.embed(MODEL, documents, query=query).result(60).vectors
    assert all(len(row) == 1 for row in found)
    return [row[0] for row in found]


def test_a_reranker_scores_pairs(reranker: Supervisor) -> None:
    documents = ["the cat sleeps on the sofa", "a dog runs", "the dog", "where is the sofa"] * 5
    together = scores(reranker, "where is the cat", documents)
    alone = [scores(reranker, "where is the cat", [document])[0] for document in documents[:4]]
    assert together == pytest.approx(alone * 5, abs=2e-3)
    assert len({round(score, 4) for score in alone}) == 4
    assert all(map(math.isfinite, together))
    other = scores(reranker, "a dog", documents[:4])
    assert all(abs(one - two) > 1e-4 for one, two in zip(other, alone, strict=True))


def test_a_reranker_computes_what_it_must(reranker: Supervisor) -> None:
    tokens = reranker.tokenize(MODEL, "where is the cat", special=True).result(60)
    assert tokens == (2, 12, 13, 8, 4, 3)
    weights = reranker_weights()
    for query, document in (("where is the cat", "the cat sleeps on the sofa"), ("a dog", "the dog runs")):
        expected = score(weights, query, document)
        assert scores(reranker, query, [document]) == pytest.approx([expected], abs=2e-3)
