"""Who wants a model loaded: one plan for all of them, and none when they have gone."""

import asyncio
import http.client
import json
import threading
from types import SimpleNamespace
from typing import Any

import httpx2 as httpx
import pytest
from msgspec.structs import replace

from app.core.errors import LoadCancelledError, OutOfMemoryError
from app.core.types import LoadPlan, ModelRecord
from app.server.plans import Plans
from tests.fakes.engine import RECORD
from tests.waiting import until


class Planner:
    """Waits for room until ``room`` is set or nobody wants it any more."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.wishes: list[Any] = []
        self.room = threading.Event()
        self.given_up = threading.Event()
        self.error: Exception | None = None

    def __call__(self, record: ModelRecord, wishes: Any, over: threading.Event) -> Any:
        self.asked.append(record.id)
        self.wishes.append(wishes)
        while not self.room.wait(0.01):
            if over.is_set():
                self.given_up.set()
                raise LoadCancelledError(model=record.name)
        if self.error is not None:
            raise self.error
        return SimpleNamespace(plan=LoadPlan(record.path))


def test_one_plan_for_all_who_wait() -> None:
    planner = Planner()

    async def ask() -> list[Any]:
        plans = Plans(planner)
        waiting = [asyncio.ensure_future(plans.plan(RECORD)) for _ in range(40)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        planner.room.set()
        return await asyncio.gather(*waiting[1:])

    assert len({id(plan) for plan in asyncio.run(ask())}) == 1
    assert planner.asked == [RECORD.id]


def test_what_a_client_changes_is_planned_and_has_room_made_for_it() -> None:
    planner = Planner()
    planner.room.set()

    async def ask() -> None:
        plans = Plans(planner, lambda model, changes: (model, dict(changes)))
        longer = [plans.plan(RECORD, {"n_ctx": 9000}) for _ in range(3)]
        await asyncio.gather(plans.plan(RECORD), plans.plan(RECORD, {}), *longer)

    asyncio.run(ask())
    assert planner.wishes == [None, (RECORD.id, {"n_ctx": 9000})]


def test_nobody_waits_so_it_is_given_up() -> None:
    planner = Planner()

    async def ask() -> None:
        plans = Plans(planner)
        waiting = [asyncio.ensure_future(plans.plan(RECORD)) for _ in range(2)]
        await asyncio.sleep(0)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        planner.room.set() if planner.given_up.wait(60) else None
        await plans.plan(RECORD)  # whoever comes then gets a plan of their own

    asyncio.run(ask())
    assert planner.asked == [RECORD.id] * 2


def test_all_who_wait_get_the_error() -> None:
    planner = Planner()
    planner.error = OutOfMemoryError(model="m", detail="of no room")
    planner.room.set()

    async def ask() -> list[Any]:
        plans = Plans(planner)
        return await asyncio.gather(*[plans.plan(RECORD) for _ in range(3)], return_exceptions=True)

    assert asyncio.run(ask()) == [planner.error] * 3


@pytest.mark.parametrize("how", ["hang up", "stop"])
def test_a_request_that_waits_for_room_ends_with_its_client_or_the_server(served, how: str) -> None:
    planner = Planner()
    served.host._running._backend._plans._planner = planner
    body = {"model": RECORD.id, "messages": [{"role": "user", "content": "x"}], "stream": True}
    client = http.client.HTTPConnection(served.address.removeprefix("http://"), timeout=60)
    client.request(
        "POST", "/v1/chat/completions", json.dumps(body), headers={"Content-Type": "application/json"}
    )
    until(lambda: planner.asked)
    if how == "stop":
        served.host.stop(grace=0)
        assert client.getresponse().status == 503
    client.close()
    assert planner.given_up.wait(60)
    assert served.supervisor.requests == []


def test_room_is_made_again_for_a_cache_that_was_given_back(
    served: Any, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []
    real = Plans.plan

    async def plan(self: Plans, record: ModelRecord) -> Any:
        planned.append(record.id)
        return await real(self, record)

    monkeypatch.setattr(Plans, "plan", plan)
    ready = served.supervisor.ensure_ready(RECORD.id, LoadPlan(RECORD.path)).result(60)
    body = {"model": RECORD.id, "messages": [{"role": "user", "content": "hi"}]}
    for rests, expected in ((False, []), (True, [RECORD.id])):
        served.supervisor.loaded[RECORD.id] = replace(ready, rests=rests)
        assert http.post("/v1/chat/completions", json=body).status_code == 200
        assert planned == expected
