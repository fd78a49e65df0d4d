"""The main job from end to end, through real parts: search, download, load, chat, panels, the API server."""

import os
import signal

import openai
import pytest

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.timeout(300)]

pytest.importorskip("PySide6")

from tests.integration import steps  # noqa: E402


def test_search_download_load_chat_serve(program, qtbot, starter) -> None:
    record = steps.download_the_starter(program, qtbot)
    assert record.bytes == starter.stat().st_size
    assert record.files[0].sha256

    steps.load(program, record)
    answer = steps.ask(program, qtbot, "Name three colours.")
    assert answer.strip()

    steps.expect_readings(program, record)
    address = steps.switch_server_on(program)
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60) as client:
        chunks = client.chat.completions.create(
            model=record.id, messages=[{"role": "user", "content": "Say hello."}], stream=True, max_tokens=16
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.strip()
    program.until(
        lambda: [entry.path for entry in program.services.server.log()][-1:] == ["/v1/chat/completions"]
    )
    steps.switch_server_off(program)
    with (
        openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.models.list()


def test_a_killed_worker_leaves_the_window_and_the_answer(program, qtbot) -> None:
    record = steps.download_the_starter(program, qtbot)
    steps.load(program, record)
    program.services.settings.set("chat.max_tokens", 400)
    steps.start_asking(program, qtbot, "Tell me a long story about the sea.")
    program.until(lambda: len(steps.stored_answer(program)) > 20)
    os.kill(program.services.supervisor.pids()[0], signal.SIGKILL)
    program.until(lambda: steps.stored_error(program))
    program.until(lambda: steps.shown_error(program))
    kept = steps.stored_answer(program)
    assert len(kept) > 20
    assert "SIGKILL" in steps.shown_error(program) or "killed" in steps.shown_error(program).lower()
    assert program.window.isVisible()
    # One click loads it again, and it answers.
    steps.load(program, record)
    program.services.settings.set("chat.max_tokens", 8)
    assert steps.ask(program, qtbot, "And then?").strip()
