"""vetiver: the network of scikit-learn behind vetiver's handler for it, which is told to answer probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from network import Network
from scikit_learn_network import EXAMPLE, as_scikit_learn
from vetiver import VetiverAPI, VetiverModel
from vetiver.handlers.sklearn import SKLearnHandler

if TYPE_CHECKING:
    import pandas as pd


class Handler(SKLearnHandler):
    def handler_predict(self, input_data: pd.DataFrame, check_prototype: bool) -> list[float]:  # noqa: FBT001 - as vetiver calls it
        del check_prototype
        probabilities: list[float] = self.model.predict_proba(input_data)[:, 1].tolist()
        return probabilities


app = VetiverAPI(VetiverModel(Handler(as_scikit_learn(Network.load()), EXAMPLE), "gender", EXAMPLE)).app
