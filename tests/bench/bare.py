"""A bare llama.cpp loop: load, prefill, decode, in one process with nothing around it. The yardstick for our path.

``python -m tests.bench.bare MODEL PROMPT_TOKENS MAX_TOKENS THREADS N_CTX`` reads a line from standard input per run and
answers each with JSON: prefill and decode tokens per second.
"""

import ctypes
import json
import sys
import time

import llama_cpp.llama_cpp as lib


class Bare:
    """One model and one context, driven by hand."""

    def __init__(self, path: str, threads: int, n_ctx: int) -> None:
        quiet = lib.llama_log_callback(lambda *_args: None)
        self._quiet = quiet
        lib.llama_log_set(quiet, ctypes.c_void_p(0))
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = n_ctx, 2048, 512
        params.n_threads = params.n_threads_batch = threads
        self.context = lib.llama_init_from_model(self.model, params)
        self.sampler = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        lib.llama_sampler_chain_add(self.sampler, lib.llama_sampler_init_greedy())

    def run(self, prompt_tokens: int, max_tokens: int, seed: int) -> dict[str, float]:
        """Prefill a prompt of made-up tokens, then decode greedily."""
        lib.llama_memory_clear(lib.llama_get_memory(self.context), True)
        prompt = (lib.llama_token * prompt_tokens)(
            *(100 + (seed * 7919 + i * 31) % 9000 for i in range(prompt_tokens))
        )
        began = time.perf_counter()
        lib.llama_decode(self.context, lib.llama_batch_get_one(prompt, prompt_tokens))
        token = lib.llama_sampler_sample(self.sampler, self.context, -1)
        first = time.perf_counter()
        one = (lib.llama_token * 1)()
        for _ in range(max_tokens - 1):
            one[0] = token
            lib.llama_decode(self.context, lib.llama_batch_get_one(one, 1))
            token = lib.llama_sampler_sample(self.sampler, self.context, -1)
        end = time.perf_counter()
        return {"prefill": prompt_tokens / (first - began), "decode": (max_tokens - 1) / (end - first)}


def main() -> None:
    """Answer one run per line of input."""
    path, prompt_tokens, max_tokens, threads, n_ctx = sys.argv[1], *map(int, sys.argv[2:6])
    bare = Bare(path, threads, n_ctx)
    for seed, _line in enumerate(sys.stdin):
        print(json.dumps(bare.run(prompt_tokens, max_tokens, seed)), flush=True)


if __name__ == "__main__":
    main()
