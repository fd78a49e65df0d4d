"""langchain-openai, judged by langchain-tests' own suites of a chat model and of embeddings."""

import os

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

BASE = f"{os.environ['HEARTH_ADDRESS']}/v1"
PENALTY = {"frequency_penalty": 0.6}
"""Without it a small model that writes JSON repeats itself to the end of the answer."""


class TestChat(ChatModelIntegrationTests):
    """All of it."""

    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {
            "model": os.environ["HEARTH_MODEL"], "base_url": BASE, "api_key": "none", "temperature": 0, "seed": 7,
            "max_tokens": 160, "max_retries": 0, "stream_usage": True,
            "model_kwargs": {"parallel_tool_calls": False},
        }  # fmt: skip

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def structured_output_kwargs(self) -> dict[str, object]:
        return {"method": "json_schema"}

    @property
    def supports_json_mode(self) -> bool:
        return True

    # What is asked of the model's wits, not of the server: 135 million parameters don't have them. Only that may fail.

    @pytest.mark.xfail(raises=AssertionError, reason="the starter model calls no tool unless it must")
    def test_agent_loop(self, model: BaseChatModel) -> None:
        super().test_agent_loop(model)

    @pytest.mark.xfail(
        raises=OutputParserException, reason="the starter model writes JSON of a shape of its own"
    )
    def test_json_mode(self, model: ChatOpenAI) -> None:
        super().test_json_mode(model.model_copy(update=PENALTY))


class TestStructured(TestChat):
    """Structured output."""

    @property
    def chat_model_params(self) -> dict[str, object]:
        return super().chat_model_params | PENALTY


class TestEmbeddings(EmbeddingsIntegrationTests):
    """All of it."""

    @property
    def embeddings_class(self) -> type[OpenAIEmbeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {
            "model": os.environ["HEARTH_VECTORS"], "base_url": BASE, "api_key": "none",
            "check_embedding_ctx_length": False,
        }  # fmt: skip


def test_it_answers_with_sense() -> None:
    chat = ChatOpenAI(
        model=os.environ["HEARTH_MODEL"], base_url=BASE, api_key="none", temperature=0, max_tokens=24
    )
    answer = chat.invoke([HumanMessage("What is the capital of France? Answer in one short sentence.")])
    assert "Paris" in answer.content
    assert answer.usage_metadata["output_tokens"] > 0


def test_vectors_mean_something() -> None:
    embed = OpenAIEmbeddings(
        model=os.environ["HEARTH_VECTORS"], base_url=BASE, api_key="none", check_embedding_ctx_length=False
    )
    cat, kitten, bonds = embed.embed_documents(
        ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Bond yields fell sharply on Tuesday."]
    )
    dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
    assert dot(cat, kitten) > 0.5 > dot(cat, bonds)
    assert dot(cat, cat) == pytest.approx(1, abs=1e-3)
