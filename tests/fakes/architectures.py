"""Headers of eleven model families in their published sizes, without weights: what memory planning is checked on.

Shapes follow llama.cpp's ``models/*.cpp``; each entry returns (metadata, tensors) for ``gguf_writer.write_gguf``.
"""

from collections.abc import Callable

from tests.fakes.gguf_writer import Tensor

Model = tuple[dict[str, object], list[Tensor]]
Numbers = dict[str, object]


def _weight(name: str, *shape: int) -> Tensor:
    return Tensor(f"{name}.weight", shape, "Q4_K" if shape[0] % 256 == 0 else "Q8_0")


def _norm(name: str, *shape: int) -> Tensor:
    return Tensor(f"{name}.weight", shape, "F32")


def _plain(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, "F32")


def _metadata(architecture: str, vocab: int, **keys: object) -> Numbers:
    found: Numbers = {"general.architecture": architecture, "tokenizer.ggml.model": "no_vocab"}
    keys = {"attention.layer_norm_rms_epsilon": 1e-5, "context_length": 32768, **keys, "vocab_size": vocab}
    return found | {f"{architecture}.{key}": value for key, value in keys.items()}


def _edges(width: int, vocab: int, tied: bool = False) -> list[Tensor]:
    found = [_weight("token_embd", width, vocab), _norm("output_norm", width)]
    return found if tied else [*found, _weight("output", width, vocab)]


def _attention(i: int, width: int, q: int, k: int, v: int, out: int) -> list[Tensor]:
    return [
        _norm(f"blk.{i}.attn_norm", width),
        _weight(f"blk.{i}.attn_q", width, q),
        _weight(f"blk.{i}.attn_k", width, k),
        _weight(f"blk.{i}.attn_v", width, v),
        _weight(f"blk.{i}.attn_output", out, width),
    ]


def _feed_forward(i: int, width: int, inner: int) -> list[Tensor]:
    return [
        _norm(f"blk.{i}.ffn_norm", width),
        _weight(f"blk.{i}.ffn_gate", width, inner),
        _weight(f"blk.{i}.ffn_up", width, inner),
        _weight(f"blk.{i}.ffn_down", inner, width),
    ]


def _experts(i: int, width: int, inner: int, count: int) -> list[Tensor]:
    return [
        _plain(f"blk.{i}.ffn_gate_inp.weight", width, count),
        _weight(f"blk.{i}.ffn_gate_exps", width, inner, count),
        _weight(f"blk.{i}.ffn_up_exps", width, inner, count),
        _weight(f"blk.{i}.ffn_down_exps", inner, width, count),
    ]


def _dense(layers: int, width: int, heads: int, kv_heads: int, inner: int) -> Numbers:
    return {
        "block_count": layers,
        "embedding_length": width,
        "feed_forward_length": inner,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
    }


def llama() -> Model:
    """Llama 3 8B: dense, grouped-query attention."""
    width, layers, inner = 4096, 32, 14336
    tensors = _edges(width, 128256)
    for i in range(layers):
        tensors += _attention(i, width, width, 1024, 1024, width) + _feed_forward(i, width, inner)
    return _metadata(
        "llama", 128256, **_dense(layers, width, 32, 8, inner), **{"rope.dimension_count": 128}
    ), tensors


def qwen2() -> Model:
    """Qwen 2.5 7B: biases, few K/V heads, a large vocabulary."""
    width, layers, inner = 3584, 28, 18944
    tensors = _edges(width, 152064)
    for i in range(layers):
        tensors += _attention(i, width, width, 512, 512, width) + _feed_forward(i, width, inner)
        tensors += [
            _plain(f"blk.{i}.attn_{n}.bias", size) for n, size in (("q", width), ("k", 512), ("v", 512))
        ]
    return _metadata("qwen2", 152064, **_dense(layers, width, 28, 4, inner)), tensors


def phi3() -> Model:
    """Phi 3 mini: full heads, fused matrices, a window that llama.cpp ignores."""
    width, layers, inner = 3072, 32, 8192
    tensors = _edges(width, 32064)
    for i in range(layers):
        tensors += [
            _norm(f"blk.{i}.attn_norm", width),
            _weight(f"blk.{i}.attn_qkv", width, 3 * width),
            _weight(f"blk.{i}.attn_output", width, width),
            _norm(f"blk.{i}.ffn_norm", width),
            _weight(f"blk.{i}.ffn_up", width, 2 * inner),
            _weight(f"blk.{i}.ffn_down", inner, width),
        ]
    more = {"attention.sliding_window": 2047, "rope.dimension_count": 96}
    return _metadata("phi3", 32064, **_dense(layers, width, 32, 32, inner), **more), tensors


def qwen3moe() -> Model:
    """Qwen 3 30B-A3B: 128 experts, 8 of them used."""
    width, layers = 2048, 48
    tensors = _edges(width, 151936)
    for i in range(layers):
        tensors += _attention(i, width, 4096, 512, 512, 4096)
        tensors += [_norm(f"blk.{i}.attn_{n}_norm", 128) for n in "qk"] + [_norm(f"blk.{i}.ffn_norm", width)]
        tensors += _experts(i, width, 768, 128)
    more = {
        "attention.key_length": 128,
        "attention.value_length": 128,
        "expert_count": 128,
        "expert_used_count": 8,
        "expert_feed_forward_length": 768,
    }
    return _metadata("qwen3moe", 151936, **_dense(layers, width, 32, 4, 6144), **more), tensors


def gemma3() -> Model:
    """Gemma 3 12B: five windowed layers to one full, tied embeddings, wide heads."""
    width, layers, inner = 3840, 48, 15360
    tensors = _edges(width, 262144, tied=True)
    for i in range(layers):
        tensors += _attention(i, width, 4096, 2048, 2048, 4096) + _feed_forward(i, width, inner)
        tensors += [_norm(f"blk.{i}.attn_{n}_norm", 256) for n in "qk"]
        tensors += [_norm(f"blk.{i}.post_attention_norm", width), _norm(f"blk.{i}.post_ffw_norm", width)]
    more = {"attention.key_length": 256, "attention.value_length": 256, "attention.sliding_window": 1024}
    return _metadata("gemma3", 262144, **_dense(layers, width, 16, 8, inner), **more), tensors


def gpt_oss() -> Model:
    """gpt-oss 20B: experts in MXFP4 and a window of 128 on every other layer."""
    width, layers, count = 2880, 24, 32
    tensors = _edges(width, 201088)
    for i in range(layers):
        tensors += _attention(i, width, 4096, 512, 512, 4096)
        tensors += [_norm(f"blk.{i}.post_attention_norm", width), _norm(f"blk.{i}.attn_sinks", 64)]
        sizes = {"attn_q": 4096, "attn_k": 512, "attn_v": 512, "attn_output": width, "ffn_gate_inp": count}
        tensors += [_plain(f"blk.{i}.{name}.bias", size) for name, size in sizes.items()]
        tensors.append(_plain(f"blk.{i}.ffn_gate_inp.weight", width, count))
        for name in ("gate", "up", "down"):
            tensors.append(Tensor(f"blk.{i}.ffn_{name}_exps.weight", (width, width, count), "MXFP4"))
            tensors.append(_plain(f"blk.{i}.ffn_{name}_exps.bias", width, count))
    more = {
        "attention.key_length": 64,
        "attention.value_length": 64,
        "attention.sliding_window": 128,
        "expert_count": count,
        "expert_used_count": 4,
        "expert_feed_forward_length": width,
    }
    return _metadata("gpt-oss", 201088, **_dense(layers, width, 64, 8, width), **more), tensors


def deepseek2() -> Model:
    """DeepSeek V2 Lite: latent attention, shared and routed experts, one dense layer first."""
    width, layers, heads, latent, rope = 2048, 27, 16, 512, 64
    tensors = _edges(width, 102400)
    for i in range(layers):
        tensors += [
            _norm(f"blk.{i}.attn_norm", width),
            _norm(f"blk.{i}.attn_kv_a_norm", latent),
            _weight(f"blk.{i}.attn_q", width, heads * 192),
            _weight(f"blk.{i}.attn_kv_a_mqa", width, latent + rope),
            Tensor(f"blk.{i}.attn_k_b.weight", (128, latent, heads), "Q8_0"),
            Tensor(f"blk.{i}.attn_v_b.weight", (latent, 128, heads), "Q8_0"),
            _weight(f"blk.{i}.attn_output", heads * 128, width),
        ]
        if i == 0:
            tensors += _feed_forward(i, width, 10944)
            continue
        tensors += [_norm(f"blk.{i}.ffn_norm", width), *_experts(i, width, 1408, 64)]
        tensors += [_weight(f"blk.{i}.ffn_{n}_shexp", width, 2816) for n in ("gate", "up")]
        tensors.append(_weight(f"blk.{i}.ffn_down_shexp", 2816, width))
    more = {
        "attention.kv_lora_rank": latent,
        "attention.key_length": latent + rope,
        "attention.value_length": latent,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
        "rope.dimension_count": rope,
        "leading_dense_block_count": 1,
        "expert_count": 64,
        "expert_used_count": 6,
        "expert_shared_count": 2,
        "expert_feed_forward_length": 1408,
        "expert_weights_scale": 1.0,
    }
    return _metadata("deepseek2", 102400, **_dense(layers, width, heads, 1, 10944), **more), tensors


def mamba() -> Model:
    """Mamba 2.8B: no attention at all."""
    width, layers, inner, state, rank = 2560, 64, 5120, 16, 160
    tensors = _edges(width, 50280, tied=True)
    for i in range(layers):
        tensors += [
            _norm(f"blk.{i}.attn_norm", width),
            _weight(f"blk.{i}.ssm_in", width, 2 * inner),
            _plain(f"blk.{i}.ssm_conv1d.weight", 4, inner),
            _plain(f"blk.{i}.ssm_conv1d.bias", inner),
            _weight(f"blk.{i}.ssm_x", inner, rank + 2 * state),
            _weight(f"blk.{i}.ssm_dt", rank, inner),
            _plain(f"blk.{i}.ssm_dt.bias", inner),
            _plain(f"blk.{i}.ssm_a", state, inner),
            _plain(f"blk.{i}.ssm_d", inner),
            _weight(f"blk.{i}.ssm_out", inner, width),
        ]
    more = {
        "ssm.conv_kernel": 4,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.time_step_rank": rank,
    }
    return _metadata("mamba", 50280, **_dense(layers, width, 0, 0, 0), **more), tensors


def lfm2() -> Model:
    """LFM 2 1.2B: short convolutions, attention on six of sixteen layers."""
    width, layers, inner = 2048, 16, 8192
    attention = (2, 5, 8, 10, 12, 14)
    tensors = [_weight("token_embd", width, 65536), _norm("token_embd_norm", width)]
    for i in range(layers):
        tensors += _feed_forward(i, width, inner)
        if i in attention:
            tensors += _attention(i, width, width, 512, 512, width)
            tensors += [_norm(f"blk.{i}.attn_{n}_norm", 64) for n in "qk"]
            continue
        tensors += [
            _norm(f"blk.{i}.attn_norm", width),
            _plain(f"blk.{i}.shortconv.conv.weight", 3, width),
            _weight(f"blk.{i}.shortconv.in_proj", width, 3 * width),
            _weight(f"blk.{i}.shortconv.out_proj", width, width),
        ]
    keys = _dense(layers, width, 32, 8, inner)
    keys["attention.head_count_kv"] = [8 if i in attention else 0 for i in range(layers)]
    return _metadata("lfm2", 65536, **keys, **{"shortconv.l_cache": 3}), tensors


def qwen3next() -> Model:
    """Qwen 3 Next 80B-A3B: three gated delta layers to one of attention, 512 experts."""
    width, layers, count, inner = 2048, 48, 512, 512
    tensors = _edges(width, 151936)
    for i in range(layers):
        tensors += [_norm(f"blk.{i}.post_attention_norm", width), *_experts(i, width, inner, count)]
        tensors += [
            _plain(f"blk.{i}.ffn_gate_inp_shexp.weight", width),
            _weight(f"blk.{i}.ffn_down_shexp", inner, width),
        ]
        tensors += [_weight(f"blk.{i}.ffn_{n}_shexp", width, inner) for n in ("gate", "up")]
        if i % 4 == 3:
            tensors += _attention(i, width, 2 * 4096, 512, 512, 4096)
            tensors += [_norm(f"blk.{i}.attn_{n}_norm", 256) for n in "qk"]
            continue
        tensors += [
            _norm(f"blk.{i}.attn_norm", width),
            _weight(f"blk.{i}.attn_qkv", width, 8192),
            _weight(f"blk.{i}.attn_gate", width, 4096),
            _plain(f"blk.{i}.ssm_conv1d.weight", 4, 8192),
            _plain(f"blk.{i}.ssm_dt.bias", 32),
            _plain(f"blk.{i}.ssm_a", 32),
            _weight(f"blk.{i}.ssm_ba", width, 64),
            _norm(f"blk.{i}.ssm_norm", 128),
            _weight(f"blk.{i}.ssm_out", 4096, width),
        ]
    more = {
        "attention.key_length": 256,
        "attention.value_length": 256,
        "rope.dimension_count": 64,
        "expert_count": count,
        "expert_used_count": 10,
        "expert_feed_forward_length": inner,
        "expert_shared_feed_forward_length": inner,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": 4096,
        "ssm.state_size": 128,
        "ssm.time_step_rank": 32,
        "ssm.group_count": 16,
    }
    return _metadata("qwen3next", 151936, **_dense(layers, width, 16, 2, 5120), **more), tensors


def cohere2() -> Model:
    """Command R7B: three windowed layers to one full, parallel blocks, tied embeddings."""
    width, layers, inner = 4096, 32, 14336
    tensors = _edges(width, 256000, tied=True)
    for i in range(layers):
        tensors += _attention(i, width, width, 1024, 1024, width) + _feed_forward(i, width, inner)[1:]
    more = {"attention.sliding_window": 4096, "attention.layer_norm_epsilon": 1e-5, "logit_scale": 0.25}
    return _metadata("cohere2", 256000, **_dense(layers, width, 32, 8, inner), **more), tensors


ARCHITECTURES: dict[str, Callable[[], Model]] = {
    "llama": llama, "qwen2": qwen2, "phi3": phi3, "qwen3moe": qwen3moe, "gemma3": gemma3, "gpt-oss": gpt_oss,
    "deepseek2": deepseek2, "mamba": mamba, "lfm2": lfm2, "qwen3next": qwen3next, "cohere2": cohere2,
}  # fmt: skip
