"""BentoML: a service with one worker, all else as it comes."""

from __future__ import annotations

from typing import Annotated

import bentoml
from network import Network
from pydantic import Field


@bentoml.service(workers=1)
class Gender:
    def __init__(self) -> None:
        self.network = Network.load()

    @bentoml.api
    async def predict(
        self, weight_kg: Annotated[float, Field(ge=20, le=400)], height_cm: Annotated[float, Field(ge=100, le=250)]
    ) -> dict[str, object]:
        probability = float(self.network.probabilities_female([[weight_kg, height_cm]])[0])
        return {"probability_female": probability, "likelier": "female" if probability >= 0.5 else "male"}
