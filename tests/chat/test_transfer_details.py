"""What other programs fold into a message: thoughts and tool calls come out of the text, nothing else does."""

from app.chat.transfer_details import called, seconds_in, unfold
from app.chat.transfer_formats import recognise

THOUGHT = (
    '<details type="reasoning" done="true" duration="4">\n<summary>Thought for 4 seconds</summary>\n'
    "&gt; not a mark\n> Keep it &lt;short&gt;.\n</details>\nAn answer."
)
CALL = (
    '<details type="tool_calls" done="true" id="c1" name="weather" arguments="{&quot;city&quot;:&quot;Huế&quot;}" '
    'result="&quot;rain ``` soon&quot;">\n<summary>Tool Executed</summary>\n</details>\nIt rains.'
)


def test_thoughts_come_out_of_the_text() -> None:
    found = unfold(THOUGHT)
    assert (found.text, found.thought) == ("An answer.", 4.0)
    assert found.reasoning == "not a mark\nKeep it <short>."


def test_a_tool_s_call_and_result_stay_as_markdown() -> None:
    found = unfold(CALL)
    assert found.text.startswith('````\nweather({"city":"Huế"})\n````\n\n````\n"rain ``` soon"\n````')
    assert found.text.endswith("It rains.")
    assert found.reasoning == ""


def test_other_details_are_a_text_like_any() -> None:
    text = " <details><summary>x</summary>y</details> "
    assert unfold(text).text == text


def test_open_webui_s_thoughts_pins_and_tags_are_kept() -> None:
    messages = {
        "1": {"id": "1", "parentId": None, "role": "user", "content": THOUGHT},
        "2": {"id": "2", "parentId": "1", "role": "assistant", "content": THOUGHT},
    }
    chat = {"title": "T", "history": {"messages": messages, "currentId": "2"}, "tags": ["old"]}
    (found,) = recognise(
        [{"chat": chat, "pinned": True, "meta": {"tags": ["python", {"name": "work"}, "python"]}}]
    )
    assert (found.pinned, found.tags) == (True, ("python", "work"))
    assert found.messages[0].text == THOUGHT  # what a person typed is left alone
    assert (found.messages[1].text, found.messages[1].thought) == ("An answer.", 4.0)


def test_lm_studio_s_tools_times_and_pins_are_kept() -> None:
    request = {"type": "toolCallRequest", "callId": "1", "name": "weather", "parameters": {"city": "Huế"}}
    style = {"type": "thinking", "title": "Thought for 2.10 seconds"}
    steps = [
        {"type": "contentBlock", "style": style, "content": [{"type": "text", "text": "hm"}]},
        {"type": "contentBlock", "content": [{"type": "text", "text": "Let me look."}, request]},
        {"type": "contentBlock", "content": [{"type": "toolCallResult", "content": "rain"}]},
        {"type": "contentBlock", "content": [{"type": "text", "text": "It rains."}]},
    ]
    answer = {"versions": [{"role": "assistant", "steps": steps}], "currentlySelected": 0}
    (found,) = recognise({"name": "N", "pinned": True, "messages": [answer]})
    said = found.messages[0].text
    assert found.pinned
    assert found.messages[0].thought == 2.1
    assert (
        said.index("Let me look.")
        < said.index('weather({"city":"Huế"})')
        < said.index("rain\n")
        < said.index("It rains.")
    )


def test_jan_s_instructions_are_the_system_prompt() -> None:
    thread = {
        "assistants": [{"instructions": "Be brief.", "model": {"id": "m"}}],
        "messages": [{"role": "user", "content": "q"}],
    }
    (found,) = recognise(thread)
    assert (found.system, found.model) == ("Be brief.", "m")


def test_odd_numbers_are_none() -> None:
    assert seconds_in("Thought for a while") is None
    assert seconds_in("Thought for .. seconds") is None
    assert called("f", "{}") == "```\nf({})\n```"
