"""MLServer: a runtime of one's own, which speaks the Open Inference Protocol (V2) with numpy's codec."""

from __future__ import annotations

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from network import Network


class Gender(MLModel):
    async def load(self) -> bool:
        self._network = Network.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        columns = {given.name: NumpyCodec.decode_input(given).ravel() for given in payload.inputs}
        people = np.column_stack([columns["weight_kg"], columns["height_cm"]])
        if not ((people >= [20, 100]) & (people <= [400, 250])).all():
            raise ValueError("out of range")
        probabilities = self._network.probabilities_female(people)
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("probability_female", probabilities)]
        )
