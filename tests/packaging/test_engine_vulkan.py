import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

import engine_vulkan
from devkit.say import Problem


def _kit(folder: Path) -> Path:
    config = folder / "root/usr/share/cmake/SPIRV-Headers/SPIRV-HeadersConfig.cmake"
    config.parent.mkdir(parents=True)
    config.touch()
    return folder


def test_the_backend_is_one_that_can_be_loaded(tmp_path: Path) -> None:
    switches = engine_vulkan.switches(_kit(tmp_path))
    assert {"-DGGML_BACKEND_DL=ON", "-DGGML_VULKAN=ON", "-DGGML_CPU=OFF", "-DGGML_NATIVE=OFF"} <= set(
        switches
    )
    assert f"-DVulkan_GLSLC_EXECUTABLE={tmp_path / 'glslc'}" in switches


def test_headers_without_cmake_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="SPIR-V"):
        engine_vulkan.switches(tmp_path)


def test_it_says_where_it_cannot_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(Problem, match="x86-64"):
        engine_vulkan.check()


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "dpkg" else f"/usr/bin/{name}")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(Problem, match="dpkg is missing"):
        engine_vulkan.check()


def test_the_library_is_kept_with_a_manifest(tmp_path: Path) -> None:
    built = tmp_path / "libggml-vulkan.so"
    built.write_bytes(b"library")
    engine_vulkan._keep(built, tmp_path / "kept")
    manifest = json.loads((tmp_path / "kept/manifest.json").read_text())
    assert manifest["bytes"] == 7
    assert len(manifest["sha256"]) == 64
    assert (tmp_path / "kept/libggml-vulkan.so").read_bytes() == b"library"


def test_the_shader_compiler_runs_through_its_own_loader(tmp_path: Path) -> None:
    folder = tmp_path / "root" / engine_vulkan.LIBRARIES
    folder.mkdir(parents=True)
    loader = folder / "ld-linux-x86-64.so.2"
    loader.write_text('#!/bin/sh\necho "$@"\n')
    loader.chmod(0o755)
    engine_vulkan._write_glslc(tmp_path / "glslc", tmp_path / "root")
    said = subprocess.run([tmp_path / "glslc", "-o", "x"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"--library-path {folder} {tmp_path}/root/usr/bin/glslc -o x"
