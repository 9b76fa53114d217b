"""The Flask application: the reference for every route, and the only place where things are wired together.

A route parses, calls and answers; what it calls knows nothing of Flask. All failures become problem details, here.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from service import administration, errors, prediction
from service.access import Access
from service.api_page import add_api_page
from service.browsers import OF_EVERY_ANSWER, REPORT_POLICY, Origins
from service.explanation import explained
from service.live_models import LiveModels
from service.observation import UNKNOWN_ROUTE, Observer, template
from service.page import add_page, as_page
from service.request_id import request_id
from service.settings import Settings
from service.trace import trace_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.registry.log import Head
    from model.registry.version import Version
    from service.prediction import Predict

PREDICTIONS: dict[str, Predict] = {
    "": prediction.predict_one,
    "/batch": prediction.predict_batch,
    "/columns": prediction.predict_columns,
}
_SCOPES = {"set_alias": "admin", "rollback": "admin"} | {
    f"{kind}{suffix}": "predict" for kind in ("predict", "pinned") for suffix in PREDICTIONS
}
"""By endpoint; what is not here needs `read`."""
_OPEN = frozenset({"livez", "readyz", "page", "asset", "docs", "description"})
"""Probes, and what anyone can read in the project itself."""
_MOST_LISTED, _LISTED = 1000, 100


def create_app(settings: Settings, live_models: LiveModels) -> Flask:
    """The application for these settings, answering with these models."""
    app = Flask("service", static_folder=None)
    # werkzeug silently cuts a body without a length at its limit: one byte more, to tell a full body from a cut one.
    app.config["MAX_CONTENT_LENGTH"] = settings.maximum_body_bytes + 1
    app.url_map.merge_slashes = False
    observer = app.extensions["observer"] = Observer(settings, live_models)
    _add_predictions(app, settings, live_models, observer)
    _add_registry(app, live_models)
    _add_administration(app, settings, live_models)
    _add_probes(app, live_models)
    _add_observation(app, observer)
    add_page(app)
    add_api_page(app)
    app.before_request(_take_request_id)
    if settings.cors_origins:
        _add_origins(app, Origins(settings.cors_origins))
    app.before_request(_checked_by(Access.of(settings)))
    app.after_request(_name_request)
    app.after_request(_tell_browser)
    app.register_error_handler(Exception, _problem)
    return app


def from_environment() -> Flask:
    """What a WSGI server calls in each worker: settings, registry, the watcher, the application."""
    settings = Settings.from_environment(os.environ)
    return create_app(settings, LiveModels.following(settings))


def _add_predictions(app: Flask, settings: Settings, live_models: LiveModels, observer: Observer) -> None:
    def answer(predict: Predict, version: Version) -> Response:
        g.version = version.manifest.number
        explain, observe = _explain(predict), _flag("observe", default=True)
        body = _json_body(settings.maximum_body_bytes)
        if observe:
            predicted = observer.predict(predict, body, version, settings.maximum_people)
        else:
            predicted = predict(body, version, settings.maximum_people)
        response = Response(explained(predicted, version) if explain else predicted.body, mimetype="application/json")
        response.headers["X-Model-Version"] = str(version.manifest.number)
        response.headers["X-Model-Digest"] = version.manifest.digest
        return response

    def champion_route(predict: Predict) -> Callable[[], Response]:
        return lambda: answer(predict, live_models.champion())

    def pinned_route(predict: Predict) -> Callable[[str], Response]:
        return lambda name: answer(predict, live_models.pinned(name))

    for suffix, predict in PREDICTIONS.items():
        app.add_url_rule(f"/predict{suffix}", f"predict{suffix}", champion_route(predict), methods=["POST"])
        app.add_url_rule(
            f"/versions/<name>/predict{suffix}", f"pinned{suffix}", pinned_route(predict), methods=["POST"]
        )


def _add_registry(app: Flask, live_models: LiveModels) -> None:
    registry = live_models.registry

    @app.get("/versions")
    def versions() -> Response:
        before, limit = _whole_number("before", default=10**10), _limit()
        found = registry.newest(limit + 1, live_models.live.head, before)
        listed = found[:limit]
        following = f"/versions?before={listed[-1]['model_version']}&limit={limit}" if len(found) > limit else None
        return _json({"model": registry.model, "versions": listed, "next": following})

    @app.get("/versions/<name>")
    def version(name: str) -> Response:
        head = live_models.live.head
        manifest = registry.manifest(registry.resolve(name, head))
        return _json(manifest.model_dump(mode="json") | {"aliases": head.aliases_of(manifest.number)})

    @app.get("/versions/<name>/report")
    def report(name: str) -> Response:
        page = registry.report(registry.resolve(name, live_models.live.head))
        # A number's report never changes; an alias moves.
        return as_page(page, ".html", REPORT_POLICY, lasting=name.isdecimal())

    @app.get("/aliases")
    def aliases() -> Response:
        return _aliases(live_models, live_models.live.head)

    @app.get("/log")
    def log() -> Response:
        after, limit = _whole_number("after", default=0), _limit()
        records: list[dict[str, Any]] = []
        for record in registry.log(after):
            records.append(record.model_dump(mode="json"))
            if len(records) > limit:
                break
        following = f"/log?after={after + limit}&limit={limit}" if len(records) > limit else None
        return _json({"model": registry.model, "records": records[:limit], "next": following})


def _add_administration(app: Flask, settings: Settings, live_models: LiveModels) -> None:
    @app.put("/aliases/<alias>")
    def set_alias(alias: str) -> Response:
        body = _json_body(settings.maximum_body_bytes)
        return _aliases(live_models, administration.set_alias(live_models, alias, body, f"token of {g.holder}"))

    @app.post("/rollback")
    def rollback() -> Response:
        body = _json_body(settings.maximum_body_bytes)
        return _aliases(live_models, administration.roll_back(live_models, body, f"token of {g.holder}"))


def _aliases(live_models: LiveModels, head: Head) -> Response:
    return _json({"model": live_models.registry.model, "log_number": head.number, "aliases": head.state.aliases})


def _add_probes(app: Flask, live_models: LiveModels) -> None:
    @app.get("/livez")
    def livez() -> Response:
        return _json({"status": "alive"})

    @app.get("/readyz")
    def readyz() -> Response:
        champion = live_models.champion()
        return _json({"status": "ready", **champion.identity, "log_number": live_models.live.head.number})


def _add_observation(app: Flask, observer: Observer) -> None:
    @app.get("/metrics")
    def metrics() -> Response:
        body, content_type = observer.scrape(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    @app.get("/drift")
    def drift() -> Response:
        return _json(observer.drift().as_json())

    @app.after_request
    def finished(response: Response) -> Response:
        rule = request.url_rule
        route = UNKNOWN_ROUTE if rule is None else template(rule.rule)
        traceparent = request.headers.get("traceparent")
        trace = trace_id(traceparent)
        if trace is not None and traceparent is not None:
            response.headers["traceparent"] = traceparent
        seconds = time.perf_counter() - g.started
        observer.finished(route, response.status_code, seconds, g.version, g.request_id, trace)
        return response


def _add_origins(app: Flask, origins: Origins) -> None:
    """What pages of other origins are told; a browser asks about a path in advance, and then sends no token."""

    @app.before_request
    def preflight() -> Response | None:
        if request.method != "OPTIONS" or request.url_rule is None or request.origin not in origins:
            return None
        if "Access-Control-Request-Method" not in request.headers:
            return None
        headers = origins.of_preflight(", ".join(sorted(request.url_rule.methods or ())))
        response = Response(status=204, headers=headers)
        del response.headers["Content-Type"]
        return response

    @app.after_request
    def answered(response: Response) -> Response:
        response.headers.update(origins.of_answer(request.origin))
        return response


def _json_body(maximum_bytes: int) -> bytes:
    if request.mimetype != "application/json":
        raise errors.UnsupportedMediaTypeError("send JSON, with the header Content-Type: application/json")
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:
        # Only the connection stands behind this call: a body that breaks HTTP's rules is raised in the server's words.
        raise errors.BadRequestError("the body could not be read") from error
    if len(body) > maximum_bytes:
        raise RequestEntityTooLarge
    return body


def _explain(predict: Predict) -> bool:
    """Whether the query string asks for an explanation. InvalidQueryError where there is none to be had."""
    explain = _flag("explain", default=False)
    if explain and predict is not prediction.predict_one:
        raise errors.InvalidQueryError("one person at a time is explained: ask /predict")
    return explain


def _flag(name: str, *, default: bool) -> bool:
    """A yes or no in the query string. InvalidQueryError for anything else."""
    given = request.args.get(name, str(default).lower())
    if given not in {"true", "false"}:
        raise errors.InvalidQueryError(f"{name} must be true or false")
    return given == "true"


def _limit() -> int:
    return _whole_number("limit", default=_LISTED, least=1, most=_MOST_LISTED)


def _whole_number(name: str, *, default: int, least: int = 0, most: int = 10**10) -> int:
    """A number in the query string. InvalidQueryError for anything else."""
    given = request.args.get(name)
    if given is None:
        return default
    if not re.fullmatch(r"[0-9]{1,11}", given) or not least <= int(given) <= most:
        raise errors.InvalidQueryError(f"{name} must be a whole number from {least} to {most}")
    return int(given)


def _json(document: Any) -> Response:  # noqa: ANN401 - whatever JSON can say
    return Response(json.dumps(document, allow_nan=False), mimetype="application/json")


def _checked_by(access: Access) -> Callable[[], None]:
    """Every route needs a scope: `admin` what changes something, `predict` predictions, `read` what is not open.

    A path that leads nowhere needs none: its 404 says nothing.
    """

    def check() -> None:
        endpoint = request.endpoint
        if endpoint is not None and endpoint not in _OPEN:
            g.holder = access.check(request.headers.get("Authorization"), _SCOPES.get(endpoint, "read"))

    return check


def _take_request_id() -> None:
    g.started, g.version = time.perf_counter(), None
    g.request_id = request_id(request.headers.get("X-Request-Id"))


def _name_request(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    return response


def _tell_browser(response: Response) -> Response:
    for name, value in OF_EVERY_ANSWER.items():
        response.headers.setdefault(name, value)
    return response


def _problem(error: Exception) -> Response:
    """Any failure as problem details."""
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        error = _of_werkzeug(error)
    known = errors.told(error, g.request_id, request.url_rule)
    headers |= known.headers()
    body = errors.problem(known, g.request_id)
    return Response(body, known.status, headers, content_type=errors.CONTENT_TYPE)


def _of_werkzeug(error: HTTPException) -> errors.ServiceError:
    match error.code:
        case 404:
            return errors.NotFoundError("there is nothing at this path")
        case 405:
            return errors.MethodNotAllowedError(f"{request.method} does nothing here")
        case 413:
            return errors.TooLargeError((request.max_content_length or 1) - 1)
        case _:
            return errors.BadRequestError("the request cannot be understood")
