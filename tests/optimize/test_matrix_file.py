"""Importance matrices as files: ours, the older form, and what is none."""

import struct
from pathlib import Path

import numpy as np
import pytest

from app.core.errors import BadHeaderError, BadMatrixError, BadRequestError
from app.core.lab import QuantizeJob
from app.optimize import matrix_file, quantize
from app.optimize.matrix_file import Matrix
from tests.fakes.gguf_writer import write_model

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)


def older(path: Path) -> Path:
    """As llama-imatrix wrote it before GGUF."""
    name, data = b"blk.0.ffn_up_exps.weight", b"en.txt"
    content = struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii", 5, 8) + ROWS.tobytes()
    path.write_bytes(content + struct.pack("<ii", 3, len(data)) + data)
    return path


def test_a_matrix_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    counts = {"a": np.array([2, 0], np.float32)}
    matrix_file.write(Matrix({"a": ROWS}, counts, 3, ("en.txt",)), path)
    found = matrix_file.read(path)
    assert matrix_file.is_matrix(path)
    assert (found.chunks, found.datasets) == (3, ("en.txt",))
    # An expert that was never reached weighs as if all its inputs were alike.
    assert found.means()["a"].tolist() == [0, 0.5, 1, 1.5, 1, 1, 1, 1]


def test_the_older_form_is_read(tmp_path: Path) -> None:
    path = older(tmp_path / "m.dat")
    found = matrix_file.read(path)
    assert matrix_file.is_matrix(path)
    assert (found.chunks, found.datasets) == (3, ("en.txt",))
    assert np.allclose(found.means()["blk.0.ffn_up_exps.weight"], ROWS.ravel() / 5)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BadHeaderError, match="no importance matrix, or cut short"):
        matrix_file.read(path)
    path.write_text("Some text that is no matrix.")
    assert not matrix_file.is_matrix(path)


def test_what_is_no_matrix_is_named_with_what_to_do(tmp_path: Path) -> None:
    whole = tmp_path / "m.gguf"
    matrix_file.write(Matrix({"a": ROWS}, {"a": np.array([2, 1], np.float32)}, 3, ("en.txt",)), whole)
    (tmp_path / "cut.gguf").write_bytes(whole.read_bytes()[:-64])
    for path in (tmp_path / "cut.gguf", write_model(tmp_path / "model.gguf", kind="F16")):
        with pytest.raises(
            BadMatrixError, match=f"^{path.name} can't be used as an importance matrix"
        ) as raised:
            matrix_file.read(path)
        assert "Download it again" not in str(raised.value)


def test_the_matrix_of_another_model_is_refused(tmp_path: Path) -> None:
    source, target = write_model(tmp_path / "m.gguf", kind="F16"), tmp_path / "out.gguf"
    with pytest.raises(BadRequestError, match=r"m\.dat belongs to another model than m\.gguf"):
        quantize.make(
            QuantizeJob(source=str(source), target=str(target), type="Q8_0"), engine="test",
            matrix=older(tmp_path / "m.dat"),
        )  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.dat", "m.gguf"]
