"""A preset in a few words, and the settings it may hold."""

from PySide6.QtCore import QCoreApplication

from app.core.engine_settings import Engine
from app.core.settings import SettingInfo, describe
from app.models.presets import Preset
from app.ui import words
from app.ui.fields import setting_words

translate = QCoreApplication.translate

LOAD_KEYS = ("n_ctx", "n_gpu_layers", "n_parallel", "n_threads", "kv_type", "flash_attn", "n_cpu_moe")
"""The engine's settings that the editor shows; further ones of a preset are kept as they are."""


def load_infos() -> list[SettingInfo]:
    """Their declarations, in the settings' own words."""
    known = {info.key: info for info in describe()}
    keys = [f"engine.{name}" for name in LOAD_KEYS if name in Engine.__struct_fields__]
    return [known[key] for key in keys if key in known]


def sampling_infos() -> list[SettingInfo]:
    """How the next token is picked: llama.cpp's parameters with their bounds."""
    return [
        _sampler(
            "temperature", "Temperature", "0 always takes the likeliest token; higher is freer.", 0.8, 5
        ),
        _sampler("top_k", "Top K", "Only the K likeliest tokens; 0 takes all.", 40, 1000),
        _sampler("top_p", "Top P", "The likeliest tokens that make up this share; 1 takes all.", 0.95, 1),
        _sampler("min_p", "Min P", "Leaves out what is less likely than this share of the best.", 0.05, 1),
        _sampler(
            "repeat_penalty", "Repeat penalty", "Over 1 makes tokens that were there lately rarer.", 1.0, 2
        ),
        _sampler("max_tokens", "Longest answer", "In tokens; 0: as long as it needs.", 0, 1_000_000),
        _sampler(
            "seed", "Seed", "The same seed gives the same answer; -1: another each time.", -1, 2**31 - 1
        ),
    ]


def _sampler(name: str, title: str, text: str, default: float, high: float) -> SettingInfo:
    kind = "int" if isinstance(default, int) else "float"
    low = -1 if name == "seed" else 0
    return SettingInfo(f"sampling.{name}", "sampling", title, text, kind, default, low=low, high=high)  # type: ignore[arg-type]


def sampler_words() -> dict[str, str]:
    """The titles and helps above in the language in force, by their English text."""
    return {
        "Temperature": translate("Sampling", "Temperature"),
        "Top K": translate("Sampling", "Top K"),
        "Top P": translate("Sampling", "Top P"),
        "Min P": translate("Sampling", "Min P"),
        "Repeat penalty": translate("Sampling", "Repeat penalty"),
        "Longest answer": translate("Sampling", "Longest answer"),
        "Seed": translate("Sampling", "Seed"),
        "0 always takes the likeliest token; higher is freer.": translate(
            "Sampling", "0 always takes the likeliest token; higher is freer."
        ),
        "Only the K likeliest tokens; 0 takes all.": translate(
            "Sampling", "Only the K likeliest tokens; 0 takes all."
        ),
        "The likeliest tokens that make up this share; 1 takes all.": translate(
            "Sampling", "The likeliest tokens that make up this share; 1 takes all."
        ),
        "Leaves out what is less likely than this share of the best.": translate(
            "Sampling", "Leaves out what is less likely than this share of the best."
        ),
        "Over 1 makes tokens that were there lately rarer.": translate(
            "Sampling", "Over 1 makes tokens that were there lately rarer."
        ),
        "In tokens; 0: as long as it needs.": translate("Sampling", "In tokens; 0: as long as it needs."),
        "The same seed gives the same answer; -1: another each time.": translate(
            "Sampling", "The same seed gives the same answer; -1: another each time."
        ),
    }


def words_of(info: SettingInfo, text: str) -> str:
    """A title or help in the language in force."""
    return sampler_words().get(text, text) if info.group == "sampling" else setting_words(text)


def preset_words(preset: Preset) -> str:
    """What a preset chooses: ``8k context, q8_0, temperature 0.2``."""
    chosen = dict(preset.load.chosen())
    extra = chosen.pop("extra", {})
    found = []
    if isinstance(context := chosen.pop("n_ctx", None), int):
        found.append(translate("Profiles", "{count} context").format(count=words.tokens(context)))
    if kind := chosen.pop("kv_type", None):
        found.append(f"KV {kind}")
    if isinstance(layers := chosen.pop("n_gpu_layers", None), int) and layers >= 0:
        found.append(translate("Profiles", "{count} GPU layers").format(count=layers))
    further = len(chosen) + (len(extra) if isinstance(extra, dict) else 0)
    if further:
        found.append(translate("Profiles", "%n more", "", further))
    if preset.sampling is not None:
        warmth = words.number(preset.sampling.temperature, 2)
        found.append(translate("Profiles", "temperature {value}").format(value=warmth))
    if preset.system:
        found.append(translate("Profiles", "a system prompt"))
    return ", ".join(found) or translate("Profiles", "as the settings say")
