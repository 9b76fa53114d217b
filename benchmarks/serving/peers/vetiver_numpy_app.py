"""vetiver, the fastest that it can be made: numpy alone, behind a handler of its own."""

from __future__ import annotations

from typing import Any

import pandas as pd
from network import Network
from vetiver import VetiverAPI, VetiverModel
from vetiver.handlers.base import BaseHandler


class Handler(BaseHandler):
    @staticmethod
    def model_type() -> type[Network]:
        return Network

    def handler_predict(self, input_data: Any, check_prototype: bool) -> Any:  # noqa: ANN401, FBT001 - as vetiver calls it
        del check_prototype
        people = input_data[["weight_kg", "height_cm"]].to_numpy() if hasattr(input_data, "to_numpy") else input_data
        return self.model.probabilities_female(people).tolist()


example = pd.DataFrame({"weight_kg": [73.0], "height_cm": [182.0]})
app = VetiverAPI(VetiverModel(Handler(Network.load(), example), "gender", example)).app
