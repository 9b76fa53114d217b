"""LitServe: `python litserve_server.py PORT`. One worker on the processor, all else as it comes."""

from __future__ import annotations

import sys
from typing import Any

import litserve
from network import Network


class Gender(litserve.LitAPI):
    def setup(self, device: str) -> None:
        del device
        self.network = Network.load()

    def decode_request(self, request: dict[str, float]) -> list[list[float]]:
        weight_kg, height_cm = request["weight_kg"], request["height_cm"]
        if not (20 <= weight_kg <= 400 and 100 <= height_cm <= 250):
            raise ValueError("out of range")
        return [[weight_kg, height_cm]]

    def predict(self, people: list[list[float]]) -> float:
        return float(self.network.probabilities_female(people)[0])

    def encode_response(self, probability: float) -> dict[str, Any]:
        return {"probability_female": probability, "likelier": "female" if probability >= 0.5 else "male"}


if __name__ == "__main__":
    server = litserve.LitServer(Gender(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False)
