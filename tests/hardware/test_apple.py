from app.hardware.apple import Apple


def test_the_chip_is_one_gpu_with_shared_memory() -> None:
    values = {"machdep.cpu.brand_string": "Apple M4 Max", "iogpu.wired_limit_mb": "0"}
    (gpu,) = Apple(values.get).detect().gpus
    assert gpu.name == "Apple M4 Max GPU"
    assert gpu.unified
    assert gpu.memory_total is None


def test_a_raised_limit_is_the_memory() -> None:
    values = {"iogpu.wired_limit_mb": "100000"}
    (gpu,) = Apple(values.get).detect().gpus
    assert gpu.memory_total == 100000 << 20


def test_readings_say_why_there_are_none() -> None:
    reader = Apple(lambda _: None)
    reading = reader.read(reader.detect().gpus[0], [])
    assert reading.power is None
    assert "powermetrics" in reading.missing["power"]
