"""Named keys: kept as hashes, revocable, with last use; and their rate."""

import stat
import sys

import pytest

from app.server.keys import KeyStore


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_key_opens_until_it_is_revoked(http, served) -> None:
    key, text = served.host.keys.create("laptop")
    assert http.get("/v1/models").status_code == 401
    assert http.get("/v1/models", headers=bearer("hearth-wrong")).status_code == 401
    assert http.get("/v1/models", headers=bearer(text)).status_code == 200
    assert http.get("/v1/models", headers={"x-api-key": text}).status_code == 200
    assert http.get("/health").status_code == 200
    assert served.host.keys.all()[0].last_used_at >= key.created_at
    other, _ = served.host.keys.create("phone")
    served.host.keys.revoke(key.id)
    refused = http.get("/v1/models", headers=bearer(text))
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    served.host.keys.revoke(other.id)
    assert http.get("/v1/models").status_code == 200  # no key is left: everyone on this machine may


def test_the_file_holds_no_key(tmp_path) -> None:
    path = tmp_path / "keys.json"
    store = KeyStore(path)
    key, text = store.create("laptop")
    store.match(text)
    store.close()
    assert text not in path.read_text("utf-8")
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = KeyStore(path)
    assert again.match(text).id == key.id
    assert again.match("x") is None
    again.forget(key.id)
    assert KeyStore(path).all() == ()


def test_a_key_that_another_process_makes_is_known_at_once(tmp_path) -> None:
    path = tmp_path / "keys.json"
    serving, other = KeyStore(path), KeyStore(path)
    assert not serving.active
    key, text = other.create("laptop")
    assert serving.match(text).id == key.id
    other.revoke(key.id)
    assert serving.match(text) is None
    assert not serving.active


def test_a_damaged_file_lets_nobody_in(tmp_path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("{", "utf-8")
    store = KeyStore(path)
    assert store.active
    assert store.match("") is None
    _, text = store.create("new")
    assert store.match(text)
    assert [key.name for key in KeyStore(path).all()] == ["new"]


def test_the_rate_is_kept_per_key(http, served) -> None:
    _, first = served.host.keys.create("first")
    _, second = served.host.keys.create("second")
    served.settings.set("server.rate_limit", 3)
    codes = [http.get("/v1/models", headers=bearer(first)).status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    refused = http.get("/v1/models", headers=bearer(first))
    assert 0 < int(refused.headers["retry-after"]) <= 20
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["message"].startswith("More than 3 requests in a minute")
    assert http.get("/v1/models", headers=bearer(second)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/messages", "/api/chat", "/tokenize", "/api/v1/chat"])
def test_every_route_asks_for_it(http, served, path) -> None:
    served.host.keys.create("laptop")
    answer = http.post(path, json={})
    assert answer.status_code == 401
    assert "error" in answer.json()
