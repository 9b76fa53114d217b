"""A client that was generated from /openapi.json predicts, explains, lists, and tells what is wrong."""

import json
import sys

from stature_client import Client
from stature_client.api.predict import predict_batch, predict_one, predict_one_by_version
from stature_client.api.registry import list_versions
from stature_client.models import Batch, ImperialMeasurements, InvalidBodyProblem, MetricMeasurements, Prediction

service = Client(base_url=sys.argv[1])
answer = predict_one.sync_detailed(client=service, body=MetricMeasurements(weight_kg=73, height_cm=182), explain=True)
assert isinstance(answer.parsed, Prediction)
refused = predict_one_by_version.sync("champion", client=service, body=MetricMeasurements(weight_kg=182, height_cm=73))
assert isinstance(refused, InvalidBodyProblem)
alice = ImperialMeasurements(weight_lb=128, height_in=63)
batch = predict_batch.sync(client=service, body=Batch(instances=[alice]))
assert batch.predictions[0].likelier == "female"
assert len(list_versions.sync(client=service, limit=1).versions) == 1
said = [
    answer.parsed.probability_female,
    answer.parsed.explanation.contributions.height,
    answer.headers["X-Model-Version"],
    refused.errors[0].detail,
]
print(json.dumps(said))
