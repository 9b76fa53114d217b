"""The lane as an ASGI application under a server that knows nothing of it: what waits holds nobody up."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from service.app import create_app
from service.lane import Lane
from service.live_models import LiveModels
from service.settings import Settings

if TYPE_CHECKING:
    from model.registry.registry import Registry
    from model.registry.version import Version

STEVE = {"weight_kg": 73, "height_cm": 182}


@pytest.fixture
def live_models(trained: Registry) -> LiveModels:
    live_models = LiveModels(trained, poll_seconds=3600.0)
    live_models.refresh()
    return live_models


def lane(live_models: LiveModels) -> httpx.AsyncClient:
    settings = Settings()
    transport = httpx.ASGITransport(Lane(settings, live_models, create_app(settings, live_models)))
    return httpx.AsyncClient(transport=transport, base_url="http://service")


def test_any_asgi_server_can_serve_the_lane(live_models: LiveModels) -> None:
    flask = create_app(Settings(), live_models).test_client()

    async def answers() -> list[httpx.Response]:
        async with lane(live_models) as client:
            return [
                await client.post(path, json=STEVE, headers={"X-Request-Id": "mine"})
                for path in ("/predict", "/versions/2/predict", "/versions/9/predict", "/nothing", "/readyz")
            ]

    for found in asyncio.run(answers()):
        expected = flask.post(found.request.url.path, json=STEVE, headers={"X-Request-Id": "mine"})
        assert (found.status_code, found.content) == (expected.status_code, expected.data)
        assert {name.lower(): value for name, value in expected.headers.items()} == dict(found.headers)


class SlowToLoad(LiveModels):
    """Models of which one that is not in memory takes until it is told."""

    arrived, go_on = threading.Event(), threading.Event()

    def pinned(self, name: str) -> Version:
        self.arrived.set()
        assert self.go_on.wait(30)
        return super().pinned(name)


def test_a_version_that_is_being_loaded_holds_nobody_up(trained: Registry) -> None:
    live_models = SlowToLoad(trained, poll_seconds=3600.0)
    live_models.refresh()

    async def ask() -> list[int]:
        async with lane(live_models) as client:
            waiting = asyncio.create_task(client.post("/versions/2/predict", json=STEVE))
            assert await asyncio.to_thread(live_models.arrived.wait, 30)
            others = [await client.post("/predict", json=STEVE), await client.get("/livez")]
            assert not waiting.done()
            live_models.go_on.set()
            return [response.status_code for response in (*others, await waiting)]

    assert asyncio.run(ask()) == [200, 200, 200]
