"""Everything a LoadPlan holds that a person may choose is a setting with help and a flag of ``serve`` and ``chat``."""

import logging
from pathlib import Path

import pytest

from app.cli.main import build_parser, main
from app.cli.run import warn
from app.core.engine_settings import Engine
from app.core.settings import describe
from app.core.types import Adapter, LoadPlan, ModelFile, ModelRecord
from app.hardware.facts import Cpu, Machine, Memory
from app.planning.model_facts import Layer, ModelFacts
from app.planning.planner import plan
from app.planning.wishes import from_settings
from tests.fakes.gguf_writer import write_gguf

GIB = 1 << 30
RECORD = ModelRecord("m", "m", (ModelFile("/m.gguf", 1),), 1)
FACTS = ModelFacts(
    "llama", tuple(Layer(GIB >> 5, 0, 512, 512) for _ in range(8)), GIB >> 5, GIB >> 5, n_embd=2048, n_ff=8192,
    n_head=16, head_dim=128, n_vocab=32000, n_ctx_train=8192, experts=4, experts_used=4, n_ff_exp=2048,
)  # fmt: skip
MACHINE = Machine(Cpu(physical_cores=8, threads=16), Memory(64 * GIB, 64 * GIB), ())
DECIDED = {"model_path", "n_idle", "pooling", "embeddings", "use_extra_bufts", "draft_path"}
"""By the model's file and the machine."""
CHOICES: dict[str, tuple[str, object]] = {
    "n_ctx": ("-c 2048", 2048),
    "n_parallel": ("--parallel 2", 2),
    "kv_unified": ("--no-kv-unified", False),
    "cache_ram_mb": ("--cache-ram 64", 64),
    "n_gpu_layers": ("-ngl 0", 0),
    "devices": ("--device CPU", ("CPU",)),
    "tensor_split": ("-ts 3,1", (3.0, 1.0)),
    "split_mode": ("-sm row", "row"),
    "main_gpu": ("-mg 1", 1),
    "type_k": ("--kv q8_0", "q8_0"),
    "type_v": ("-ctv q8_0", "q8_0"),
    "flash_attn": ("-fa on", "on"),
    "offload_kqv": ("--no-kv-offload", False),
    "n_batch": ("--batch-size 256", 256),
    "n_ubatch": ("-ub 128", 128),
    "n_threads": ("-t 3", 3),
    "n_threads_batch": ("-tb 5", 5),
    "use_mmap": ("--no-mmap", False),
    "use_mlock": ("--mlock", True),
    "rope_scaling": ("--rope-scaling yarn", "yarn"),
    "rope_freq_base": ("--rope-freq-base 5e5", 500000.0),
    "rope_freq_scale": ("--rope-freq-scale 0.5", 0.5),
    "yarn_ext_factor": ("--yarn-ext-factor 0.5", 0.5),
    "yarn_attn_factor": ("--yarn-attn-factor 2", 2.0),
    "yarn_beta_fast": ("--yarn-beta-fast 16", 16.0),
    "yarn_beta_slow": ("--yarn-beta-slow 2", 2.0),
    "yarn_orig_ctx": ("--yarn-orig-ctx 4096", 4096),
    "n_cpu_moe": ("-ncmoe 3", 3),
    "tensor_overrides": ("-ot exps=CPU", (("exps", "CPU"),)),
    "adapters": ("--lora /a.gguf:0.5", (Adapter("/a.gguf", 0.5),)),
    "projector": ("--mmproj /eyes.gguf", "/eyes.gguf"),
    "swa_full": ("--swa-full", True),
    "seed": ("--seed 7", 7),
}


def test_no_field_of_the_plan_is_missing() -> None:
    assert set(CHOICES) == set(LoadPlan.__struct_fields__) - DECIDED


@pytest.mark.parametrize("command", ["serve", "chat m"])
@pytest.mark.parametrize("name", CHOICES)
def test_a_flag_reaches_the_plan(name: str, command: str) -> None:
    flag, expected = CHOICES[name]
    args = build_parser().parse_args([*command.split(), *flag.split()])
    chosen = {
        key: value for key in Engine.__struct_fields__ if (value := getattr(args, key, None)) is not None
    }
    assert len(chosen) == 1
    planned = plan(RECORD, MACHINE, from_settings(Engine(**chosen)), facts=FACTS)
    assert getattr(planned.plan, name) == expected != getattr(LoadPlan(""), name)


def test_llama_cpp_s_short_flags_are_understood() -> None:
    args = build_parser().parse_args("serve -ctk q8_0 -cram 64 -mm none -kvu --model m".split())
    assert (args.kv_type, args.cache_ram_mb, args.mmproj, args.kv_unified) == ("q8_0", 64, "none", True)


def test_all_experts_may_stay_in_main_memory() -> None:
    args = build_parser().parse_args("serve --cpu-moe --model m".split())
    assert (args.n_cpu_moe, args.model) == (1000, "m")
    assert build_parser().parse_args(["serve", "--n-cpu-moe", "3"]).n_cpu_moe == 3
    assert build_parser().parse_args(["serve"]).n_cpu_moe is None


def test_every_setting_of_a_load_has_help() -> None:
    assert all(info.title and info.help for info in describe() if info.group == "engine")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("-c 100", "-c/--ctx/--ctx-size can't be 100: it must be a whole number from 256 to 1048576."),
        ("--rope-freq-scale 7", "--rope-freq-scale can't be 7.0: it must be a number from 0 to 1."),
        ("-ts 1,-1", "-ts/--tensor-split can't be 1,-1: each must be a number, 0 or more, as in 3,1."),
    ],
)
def test_a_wrong_value_is_refused_by_its_flag(
    flags: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    model = tmp_path / "m.gguf"
    write_gguf(model, {"general.architecture": "llama"}, [])
    assert main(["chat", str(model), "-p", "hi", *flags.split()]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("-ot nothing", "-ot/--tensor-overrides/--override-tensor can't be nothing: write PATTERN=BUFFER"),
        ("--port 99999", "--port can't be 99999: it must be a whole number from 0 to 65535."),
    ],
)
def test_a_server_does_not_start_with_a_wrong_value(
    flags: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    logger = logging.getLogger("app")
    level = logger.level
    try:
        assert main(["serve", *flags.split()]) == 2
    finally:
        logger.setLevel(level)  # serve sets it
    assert words in capsys.readouterr().err


def test_what_is_not_as_asked_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    args = build_parser().parse_args(["chat", "m", "-c", "16384", "--rope-scaling", "yarn"])
    asked = from_settings(Engine(n_ctx=args.n_ctx, rope_scaling=args.rope_scaling))
    warn(plan(RECORD, MACHINE, asked, facts=FACTS))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("The context of 16384 tokens goes past the 8192")
