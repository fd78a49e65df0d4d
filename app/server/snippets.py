"""How to call the server from the programs people use, ready to copy. Pure.

Sources: each program's own documentation (Continue's config.yaml, Cline's provider "OpenAI Compatible", Open WebUI's
environment variables, Claude Code's LLM gateway variables).
"""

import sys
from collections.abc import Callable

from msgspec import Struct


class Call(Struct, frozen=True):
    """What every snippet needs: base address without a path, model id, and the key or what stands for it."""

    address: str
    model: str
    key: str


class Snippet(Struct, frozen=True):
    """One program's. ``place`` says where the text goes: a command line, a file, or a program's settings."""

    id: str
    title: str
    place: str
    text: Callable[[Call], str]


def _curl(call: Call) -> str:
    return f"""curl {call.address}/v1/chat/completions \\
  -H "Content-Type: application/json" \\
  -H "Authorization: Bearer {call.key}" \\
  -d '{{
    "model": "{call.model}",
    "messages": [{{"role": "user", "content": "Hello!"}}]
  }}'
"""


def _openai(call: Call) -> str:
    return f"""from openai import OpenAI

client = OpenAI(base_url="{call.address}/v1", api_key="{call.key}")
stream = client.chat.completions.create(
    model="{call.model}",
    messages=[{{"role": "user", "content": "Hello!"}}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="")
"""


def _anthropic(call: Call) -> str:
    return f"""from anthropic import Anthropic

client = Anthropic(base_url="{call.address}", api_key="{call.key}")
answer = client.messages.create(
    model="{call.model}",
    max_tokens=512,
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(answer.content[0].text)
"""


def _javascript(call: Call) -> str:
    return f"""const answer = await fetch("{call.address}/v1/chat/completions", {{
  method: "POST",
  headers: {{"Content-Type": "application/json", Authorization: "Bearer {call.key}"}},
  body: JSON.stringify({{
    model: "{call.model}",
    messages: [{{role: "user", content: "Hello!"}}],
  }}),
}});
const {{choices}} = await answer.json();
console.log(choices[0].message.content);
"""


def _continue(call: Call) -> str:
    return f"""models:
  - name: Hearth
    provider: openai
    model: {call.model}
    apiBase: {call.address}/v1
    apiKey: {call.key}
    roles: [chat, edit, apply]
"""


def _cline(call: Call) -> str:
    return f"""API Provider: OpenAI Compatible
Base URL: {call.address}/v1
OpenAI Compatible API Key: {call.key}
Model ID: {call.model}
"""


def _open_webui(call: Call) -> str:
    # On Linux a container reaches a program that answers this machine only on the host's own network; Docker on macOS
    # and Windows has a name for the host, and reaches it all the same.
    linux = sys.platform == "linux"
    way = "--network=host -e PORT=3000" if linux else "-p 3000:8080"
    address = call.address if linux else call.address.replace("//127.0.0.1:", "//host.docker.internal:")
    return f"""docker run -d --name open-webui {way} \\
  -e OPENAI_API_BASE_URL={address}/v1 \\
  -e OPENAI_API_KEY={call.key} \\
  -v open-webui:/app/backend/data \\
  ghcr.io/open-webui/open-webui:main
"""


def _claude_code(call: Call) -> str:
    return f"""export ANTHROPIC_BASE_URL={call.address}
export ANTHROPIC_AUTH_TOKEN={call.key}
export ANTHROPIC_MODEL='{call.model}'
export ANTHROPIC_DEFAULT_HAIKU_MODEL='{call.model}'
claude
"""


SNIPPETS = (
    Snippet("curl", "curl", "terminal", _curl),
    Snippet("openai", "Python (openai)", "python", _openai),
    Snippet("anthropic", "Python (anthropic)", "python", _anthropic),
    Snippet("javascript", "JavaScript", "javascript", _javascript),
    Snippet("continue", "Continue", "~/.continue/config.yaml", _continue),
    Snippet("cline", "Cline", "settings", _cline),
    Snippet("open_webui", "Open WebUI", "terminal", _open_webui),
    Snippet("claude_code", "Claude Code", "terminal", _claude_code),
)
"""Every one, in the order they are offered."""

NO_KEY = "none"
"""Sent where no key is asked for: most clients insist on something."""
YOUR_KEY = "YOUR_KEY"
