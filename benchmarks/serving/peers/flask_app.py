"""Flask as everyone writes it: get_json, numpy, jsonify."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from network import Network

app = Flask(__name__)
network = Network.load()


@app.post("/predict")
def predict() -> Response | tuple[Response, int]:
    person = request.get_json()
    weight_kg, height_cm = person["weight_kg"], person["height_cm"]
    if not (20 <= weight_kg <= 400 and 100 <= height_cm <= 250):
        return jsonify(error="out of range"), 422
    probability = float(network.probabilities_female([[weight_kg, height_cm]])[0])
    return jsonify(probability_female=probability, likelier="female" if probability >= 0.5 else "male")
