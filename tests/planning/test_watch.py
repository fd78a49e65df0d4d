from app.core.types import Forecast
from app.planning.watch import FINDINGS, Finding, Gauge, diagnose, gauge, regression

GIB = 2.0**30
EXPECTED = Forecast(40, 60)
CALM = Gauge(
    "CUDA0", 24 * GIB, 10 * GIB, 9 * GIB, 0.1 * GIB, 0.1 * GIB, 95, power=300, temperature=60, throttle=0
)


def _gauge(**changes: object) -> Gauge:
    values = {name: getattr(CALM, name) for name in Gauge.__struct_fields__}
    return Gauge(**{**values, **changes})  # type: ignore[arg-type]


def test_as_fast_as_forecast_is_no_finding() -> None:
    assert diagnose(45, EXPECTED, [CALM]) is None
    assert diagnose(10, None, [CALM]) is None


def test_a_spill_is_told_even_without_a_forecast() -> None:
    found = diagnose(45, None, [_gauge(memory_used=23.5 * GIB, memory_shared=3.1 * GIB)])
    assert found is not None
    assert found.code == "spill"
    assert found.text.startswith("CUDA0 is full and 3.0 GiB of the model lie in main memory.")
    assert found.action == "load_options"


def test_a_full_card_alone_is_no_spill() -> None:
    assert diagnose(45, EXPECTED, [_gauge(memory_used=23.5 * GIB)]) is None


def test_heat_and_power_are_told_apart() -> None:
    hot = diagnose(20, EXPECTED, [_gauge(throttle=3, temperature=88.0)])
    assert hot is not None
    assert hot.code == "throttle_thermal"
    assert "88 °C" in hot.text
    held = diagnose(20, EXPECTED, [_gauge(throttle=1)])
    assert held is not None
    assert held.text == "CUDA0 is held at its power limit of 300 W. Raise the limit, or use another device."


def test_every_cause_comes_with_a_button() -> None:
    assert [code for code in FINDINGS if not Finding(code).action] == []


def test_throttling_at_full_speed_is_left_alone() -> None:
    assert diagnose(50, EXPECTED, [_gauge(throttle=1)]) is None


def test_another_program_on_the_card() -> None:
    found = diagnose(20, EXPECTED, [_gauge(memory_used=18 * GIB, memory_us=9 * GIB, utilization=99)])
    assert found is not None
    assert found.code == "gpu_shared"
    assert "9.0 GiB" in found.text


def test_a_busy_processor_and_full_memory() -> None:
    busy = diagnose(5, EXPECTED, [], Gauge("CPU", 32 * GIB, 10 * GIB, utilization=90, our_utilization=45))
    assert busy is not None
    assert busy.code == "cpu_shared"
    full = diagnose(50, EXPECTED, [], Gauge("CPU", 32 * GIB, 31.9 * GIB))
    assert full is not None
    assert full.code == "swapping"


def test_an_unknown_cause_is_said() -> None:
    found = diagnose(20, EXPECTED, [CALM])
    assert found is not None
    assert found.text == "It writes 20.0 tokens/s; 40.0 to 60.0 were forecast, and no cause was found."


def test_gauges_are_medians_and_flags_must_last() -> None:
    times = [float(t) for t in range(20)]
    series = {
        "power": (times, [100.0] * 10 + [300.0] * 10),
        "throttle": (times, [0.0] * 13 + [1.0] * 7),
        "memory_shared": (times, [5.0] * 10 + [50.0] * 10),
    }
    found = gauge("CUDA0", series, since=10, loaded_at=9)
    assert (found.power, found.throttle, found.memory_shared, found.memory_shared_before) == (300, 1, 50, 5)
    assert gauge("CUDA0", series, since=5).throttle == 0
    assert gauge("CUDA0", {}, since=0).throttle is None


def test_a_regression_needs_evidence() -> None:
    old = [("1.0", 50.0, 1000)] * 6
    assert regression("m", [*old, *[("1.1", 40.0, 1000)] * 4]) is None
    found = regression("m", [*old, *[("1.1", 40.0, 1000)] * 5])
    assert found is not None
    assert found.text.startswith("m wrote 50.0 tokens/s with 1.0 and writes 40.0 with 1.1.")
    assert regression("m", [*old, *[("1.1", 48.0, 1000)] * 5]) is None
    assert regression("m", [*old, *[("1.1", 40.0, 9000)] * 5]) is None
    assert regression("m", old) is None
    assert regression("m", []) is None
