"""FastAPI as everyone writes it: pydantic models in and out, numpy in between."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from network import Network
from pydantic import BaseModel, Field

Weight = Annotated[float, Field(ge=20, le=400)]
Height = Annotated[float, Field(ge=100, le=250)]


class Person(BaseModel):
    weight_kg: Weight
    height_cm: Height


class People(BaseModel):
    instances: list[Person]


class Columns(BaseModel):
    weight_kg: list[Weight]
    height_cm: list[Height]


class Prediction(BaseModel):
    probability_female: float
    likelier: str


class Predictions(BaseModel):
    predictions: list[Prediction]


class Probabilities(BaseModel):
    probability_female: list[float]


app = FastAPI()
network = Network.load()


def prediction(probability: float) -> Prediction:
    return Prediction(probability_female=probability, likelier="female" if probability >= 0.5 else "male")


@app.post("/predict")
async def predict(person: Person) -> Prediction:
    return prediction(network.probabilities_female([[person.weight_kg, person.height_cm]])[0])


@app.post("/predict/batch")
async def predict_batch(people: People) -> Predictions:
    rows = [(person.weight_kg, person.height_cm) for person in people.instances]
    return Predictions(predictions=[prediction(one) for one in network.probabilities_female(rows)])


@app.post("/predict/columns")
async def predict_columns(columns: Columns) -> Probabilities:
    rows = list(zip(columns.weight_kg, columns.height_cm, strict=True))
    return Probabilities(probability_female=network.probabilities_female(rows).tolist())
