"""FastAPI with every trick that keeps it FastAPI: bytes straight into pydantic, plain floats, orjson's bytes out."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import FastAPI, Request, Response
from network import Network
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict


class Person(TypedDict):
    weight_kg: Annotated[float, Field(ge=20, le=400)]
    height_cm: Annotated[float, Field(ge=100, le=250)]


app = FastAPI(openapi_url=None)
network = Network.load()
validate = TypeAdapter(Person).validate_json


@app.post("/predict", response_model=None)
async def predict(request: Request) -> Response:
    try:
        person = validate(await request.body())
    except ValidationError as error:
        return Response(error.json(include_url=False), 422, media_type="application/json")
    probability = network.probability_female(person["weight_kg"], person["height_cm"])
    answer = {"probability_female": probability, "likelier": "female" if probability >= 0.5 else "male"}
    return Response(orjson.dumps(answer), media_type="application/json")
