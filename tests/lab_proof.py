"""The quantization lab beside llama.cpp's own tools (``make lab-proof``): the same matrix, the same files byte for
byte, the same perplexity and divergence, of a mixture of experts too; and the losses that were seen before on the same
kind of text.

    python -m tests.lab_proof [--only TYPE ...] [--out FILE.json]

HEARTH_PEERS is the folder of llama-quantize, llama-imatrix and llama-perplexity. Status 1 when anything misses.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from pydoc_data.topics import topics

import msgspec
import numpy as np
import platformdirs
from msgspec import Struct

from app.cli.output import table
from app.core.lab import QuantizeJob, ScoreJob
from app.models.gguf import read_header
from app.optimize import matrix_file, quantize
from app.optimize.process import run_job
from tests.fakes.moe import write_moe
from tests.starter import find_starter

KNOWN: dict[str, tuple[float, float | None]] = {
    "Q8_0": (0.004, None), "Q6_K": (0.009, None), "Q5_K_M": (0.072, 0.006), "Q4_K_M": (0.059, 0.031),
    "Q4_0": (0.253, 0.145), "Q3_K_M": (0.126, 0.083), "Q2_K": (0.416, 0.279),
}  # fmt: skip
"""Divergences seen before on plain technical English (perplexity about 11), without and with a matrix."""
NEAR_KNOWN, NEAR_PEER, NEAR_MATRIX = 0.10, 0.01, 1e-4
HALF_DIGIT = 0.0005
"""The known figures have three decimals."""
ROUNDED = 1e-4
"""llama-perplexity keeps its reference's log-probabilities in 16 bits: what that alone can make of a divergence."""
MATRIX_CHUNKS, CHUNKS = 16, 9
MOE_TYPES, MOE_CHUNKS = ("Q8_0", "Q4_K_M", "Q4_0", "IQ3_XXS"), 4
THREADS = int(os.environ.get("HEARTH_PROOF_THREADS", "2"))
OURS = ("quantize.imatrix.file", "quantize.imatrix.dataset", "quantize.imatrix.entries_count",
        "quantize.imatrix.chunks_count")  # fmt: skip


class Check(Struct, frozen=True):
    """One comparison. ``theirs`` is the peer's or the known figure."""

    what: str
    ours: float
    theirs: float
    within: str
    good: bool


class Proof:
    """All comparisons, in a folder of their own."""

    def __init__(self, peers: Path, work: Path, told: Callable[[str], None] = print) -> None:
        self.peers, self.work, self.told = peers, work, told
        self.checks: list[Check] = []
        self.full = work / "starter-F16.gguf"
        self.text, self.calibration = _texts(work)

    def tool(self, name: str, *args: object) -> str:
        """Run a peer; all it printed."""
        command = [str(self.peers / name), *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-600:]}")
        return done.stdout + done.stderr

    def check(self, what: str, ours: float, theirs: float, within: str, *, good: bool) -> None:
        """Note a comparison and tell of it."""
        self.checks.append(Check(what, ours, theirs, within, good))
        self.told(f"{'ok  ' if good else 'MISS'} {what}: {ours:.6g} beside {theirs:.6g} ({within})")

    def near(self, what: str, ours: float, theirs: float, share: float, slack: float = 0.0) -> None:
        """``ours`` may differ by this share of ``theirs``, and ``slack``."""
        good = abs(ours - theirs) <= share * abs(theirs) + slack
        self.check(what, ours, theirs, f"{share:.0%}" if share >= 0.01 else f"{share:g}", good=good)

    # ------------------------------------------------------------------ the parts

    def source(self, starter: Path) -> None:
        """The starter's weights as F16, by both."""
        run_job(QuantizeJob(source=str(starter), target=str(self.full), type="F16", requantize=True))
        theirs = self.work / "theirs-F16.gguf"
        self.tool("llama-quantize", "--allow-requantize", starter, theirs, "F16")
        self.same_file("F16", self.full, theirs)
        theirs.unlink()

    def matrix(self, chunks: int = MATRIX_CHUNKS, label: str = "matrix") -> Path:
        """The matrix by both; ours is what the quants are made with."""
        text, ours, theirs = self.calibration, self.work / "ours.gguf", self.work / "theirs-matrix.gguf"
        quantize.make_matrix(self.full, text, ours, chunks=chunks, threads=THREADS)
        self.tool("llama-imatrix", "-m", self.full, "-f", text, "-o", theirs, "--chunks", chunks, "-t", THREADS,
                  "-ngl", 0, "--no-ppl")  # fmt: skip
        a, b = matrix_file.read(ours), matrix_file.read(theirs)
        self.check(
            f"{label}: tensors", len(a.sums), len(b.sums), "the same", good=a.sums.keys() == b.sums.keys()
        )
        counts = all(np.array_equal(a.counts[name], b.counts[name]) for name in b.counts)
        self.check(f"{label}: counts", a.chunks, b.chunks, "the same", good=counts and a.chunks == b.chunks)
        worst = max(_difference(a.sums[name], b.sums[name]) for name in b.sums)
        self.check(f"{label}: largest difference", worst, 0, f"{NEAR_MATRIX:g}", good=worst <= NEAR_MATRIX)
        return ours

    def mixture(self, starter: Path, kinds: Sequence[str] = MOE_TYPES, chunks: int = MOE_CHUNKS) -> None:
        """Experts: the starter's feed-forward layers split into four, of which each token is sent to two. The matrix by
        both, one and the same of it for both quantizers, and the results computed with."""
        dense = write_moe(starter, self.work / "moe-Q4_1.gguf", used=2, spread=0.3)
        self.full = self.work / "moe-F16.gguf"
        run_job(QuantizeJob(source=str(dense), target=str(self.full), type="F16", requantize=True))
        dense.unlink()
        matrix = self.matrix(chunks, "MoE matrix")
        experts = [name for name in matrix_file.read(matrix).sums if "_exps" in name]
        self.check("MoE matrix: tensors of experts", len(experts), 90, "all of them", good=len(experts) == 90)
        for kind in kinds:
            made = self.quant(kind, matrix, "MoE ")
            figures = run_job(self.job(made, chunks=2)).figures
            said = self.tool(
                "llama-perplexity", "-m", made, "-f", self.text, "--chunks", 2, "-t", THREADS, "-ngl", 0
            )
            self.near(f"MoE {kind}: perplexity", figures["ppl"], _peer(said, "PPL"), NEAR_PEER)

    def quant(self, kind: str, matrix: Path | None, what: str = "") -> Path:
        """One type by both, compared."""
        label = f"{what}{kind} with matrix" if matrix else f"{what}{kind}"
        ours, theirs = self.work / "ours-quant.gguf", self.work / "theirs-quant.gguf"
        job = QuantizeJob(source=str(self.full), target=str(ours), type=kind, threads=THREADS)
        quantize.make(job, engine="proof", matrix=matrix)
        options = ["--imatrix", matrix] if matrix else []
        self.tool("llama-quantize", *options, self.full, theirs, kind, THREADS)
        self.same_file(label, ours, theirs)
        theirs.unlink()
        return ours

    def same_file(self, label: str, ours: Path, theirs: Path) -> None:
        """Names, types, shapes and bytes of every tensor; metadata but for the matrix's name."""
        a, b = read_header(ours), read_header(theirs)
        same = [(t.name, t.type, t.shape) for t in a.tensors] == [
            (t.name, t.type, t.shape) for t in b.tensors
        ]
        mine, peer = ours.read_bytes()[a.data_offset :], theirs.read_bytes()[b.data_offset :]
        self.check(f"{label}: tensor bytes", len(mine), len(peer), "every byte", good=same and mine == peer)
        keys = [
            key for key in {**a.metadata, **b.metadata} if key not in OURS and not key.startswith("hearth.")
        ]
        other = [key for key in keys if a.metadata.get(key) != b.metadata.get(key)]
        self.check(f"{label}: metadata that differs", len(other), 0, "but for the matrix", good=not other)

    def references(self, chunks: int = CHUNKS) -> None:
        """The source's log-probabilities by both."""
        done = run_job(self.job(self.full, write=str(self.work / "ours.logs"), chunks=chunks))
        said = self.tool("llama-perplexity", *self.peer_args(self.full, chunks), "-f", self.text)
        self.near("F16: perplexity", done.figures["ppl"], _peer(said, "PPL"), NEAR_PEER)

    def job(self, model: Path, *, write: str = "", against: str = "", chunks: int = CHUNKS) -> ScoreJob:
        """A score of the test text."""
        return ScoreJob(
            model=str(model), text=str(self.text), write=write, against=against, chunks=chunks,
            threads=THREADS,
        )  # fmt: skip

    def peer_args(self, model: Path, chunks: int = CHUNKS) -> list[object]:
        """What llama-perplexity is given."""
        logs = self.work / "theirs.logs"
        return ["-m", model, "--kl-divergence-base", logs, "--chunks", chunks, "-t", THREADS, "-ngl", 0]

    def loss(self, kind: str, model: Path, *, with_matrix: bool, chunks: int = CHUNKS) -> None:
        """What a quant lost by both, and beside the known figure."""
        label = f"{kind} with matrix" if with_matrix else kind
        figures = run_job(self.job(model, against=str(self.work / "ours.logs"), chunks=chunks)).figures
        said = self.tool("llama-perplexity", *self.peer_args(model, chunks), "--kl-divergence")
        self.near(f"{label}: perplexity", figures["ppl"], _peer(said, "Mean PPL(Q)"), NEAR_PEER)
        self.near(f"{label}: KL", figures["kl"], _peer(said, "Mean    KLD"), NEAR_PEER, ROUNDED)
        same, rms = _peer(said, "Same top p") / 100, _peer(said, "RMS Δp") / 100
        self.near(f"{label}: same top", figures["same_top"], same, NEAR_PEER)
        self.near(f"{label}: RMS change", figures["rms_change"], rms, NEAR_PEER, ROUNDED)
        if (known := KNOWN[kind][with_matrix]) is not None:
            self.near(f"{label}: KL as known", figures["kl"], known, NEAR_KNOWN, HALF_DIGIT)


def _texts(work: Path) -> tuple[Path, Path]:
    """One to measure on and another of its kind for the matrix: parts of Python's own documentation, which every
    Python brings."""
    words = "\n\n".join(topics[name] for name in sorted(topics))
    paths = work / "measured.txt", work / "calibration.txt"
    for path, part in zip(paths, (slice(100_000, 145_000), slice(200_000, 300_000)), strict=True):
        path.write_text(words[part], encoding="utf-8")
    return paths


def find_peers() -> Path | None:
    """The tools in the set-up's cache, or where HEARTH_PEERS says; None when they were not built."""
    cache = Path(os.environ.get("HEARTH_CACHE") or platformdirs.user_cache_dir("Hearth", appauthor=False))
    named = os.environ.get("HEARTH_PEERS")
    found = [Path(named)] if named else [mark.parent / "bin" for mark in cache.glob("peers/*/done")]
    return next((folder for folder in found if (folder / "llama-quantize").exists()), None)


def _difference(ours: "np.typing.NDArray[np.float32]", theirs: "np.typing.NDArray[np.float32]") -> float:
    return float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-12)).max())


def _peer(said: str, name: str) -> float:
    """A figure of llama-perplexity."""
    pattern = r"Final estimate: PPL = ([\d.]+)" if name == "PPL" else rf"{re.escape(name)}\s*:\s*([\d.]+)"
    found = re.search(pattern, said)
    if not found:
        raise RuntimeError(f"llama-perplexity did not say {name}: {said[-600:]}")
    return float(found[1])


def prove(peers: Path, work: Path, kinds: Sequence[str]) -> list[Check]:
    """Everything."""
    starter = find_starter()
    assert starter
    proof = Proof(peers, work)
    proof.source(starter)
    matrix = proof.matrix()
    proof.references()
    for kind in kinds:
        for used in (None, matrix):
            proof.loss(kind, proof.quant(kind, used), with_matrix=used is not None)
    proof.mixture(starter)
    return proof.checks


def main() -> int:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=KNOWN, default=list(KNOWN))
    parser.add_argument("--out", type=Path, default=Path("build/lab-proof.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hearth-proof-") as work:
        checks = prove(Path(os.environ["HEARTH_PEERS"]), Path(work), args.only)
    rows = [
        (c.what, f"{c.ours:.6g}", f"{c.theirs:.6g}", c.within, "" if c.good else "MISSED") for c in checks
    ]
    print(table(("WHAT", "OURS", "BESIDE", "WITHIN", ""), rows, frozenset({1, 2})))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(msgspec.to_builtins(checks), indent=1) + "\n", "utf-8")
    missed = sum(not check.good for check in checks)
    print(f"{len(checks) - missed} of {len(checks)} agree.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
