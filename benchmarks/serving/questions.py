"""What is asked and what is right: people, the JSON of each protocol, and the probabilities that numpy computes."""

from __future__ import annotations

import http.client
import json
import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.serving.failure import FailureError, WrongAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.serving.peers.network import Network

    Person = tuple[float, float]

MEASURED = (73.0, 182.0)
"""The person whom all load asks for, in kilograms and centimetres."""
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Form:
    """How a server wants to be asked, and where the probabilities are in its answer."""

    path: str
    ask: Callable[[Sequence[Person]], Any]
    """People -> the document to send."""
    read: Callable[[Any], list[float]]
    """The document answered -> a probability for each."""
    many: bool = False
    """Whether one request takes many people."""

    def body(self, people: Sequence[Person]) -> bytes:
        return json.dumps(self.ask(people)).encode()


def _person(person: Person) -> dict[str, float]:
    return {"weight_kg": person[0], "height_cm": person[1]}


def _columns(people: Sequence[Person]) -> dict[str, list[float]]:
    weights, heights = zip(*people, strict=True)
    return {"weight_kg": list(weights), "height_cm": list(heights)}


def _tensors(people: Sequence[Person]) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": name, "shape": [len(values)], "datatype": "FP64", "data": values}
            for name, values in _columns(people).items()
        ]
    }


PERSON = Form("/predict", lambda people: _person(people[0]), lambda answer: [answer["probability_female"]])
BATCH = Form(
    "/predict/batch",
    lambda people: {"instances": [_person(person) for person in people]},
    lambda answer: [one["probability_female"] for one in answer["predictions"]],
    many=True,
)
COLUMNS = Form("/predict/columns", _columns, lambda answer: answer["probability_female"], many=True)
TENSORS = Form("/v2/models/gender/infer", _tensors, lambda answer: answer["outputs"][0]["data"], many=True)
RECORDS = Form(
    "/predict", lambda people: [_person(person) for person in people], lambda answer: answer["predict"], many=True
)
DATA_FRAME = Form(
    "/invocations",
    lambda people: {"dataframe_split": {"columns": ["weight_kg", "height_cm"], "data": people}},
    lambda answer: answer["predictions"],
    many=True,
)
PROBABILITIES_OF_BOTH = replace(
    DATA_FRAME, read=lambda answer: [probability_female for _, probability_female in answer["predictions"]]
)


def some_people(count: int, seed: int = 1) -> list[Person]:
    """Adults, measured to a tenth."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    return [(round(chance.uniform(45, 130), 1), round(chance.uniform(150, 200), 1)) for _ in range(count)]


def hello(network: Network) -> str:
    """What Stature answers for the measured person, as a text: the servers that compute nothing answer it to all."""
    probability = network.probability_female(*MEASURED)
    answer = {
        "probability_female": probability,
        "likelier": "female" if probability >= 0.5 else "male",
        "in_training_range": True,
        "model": "gender",
        "model_version": 1,
    }
    return json.dumps(answer)


def check(port: int, form: Form, people: Sequence[Person], network: Network) -> None:
    """Ask for these people, all at once or one after the other. WrongAnswerError unless every answer is numpy's."""
    for asked in [people] if form.many else [[person] for person in people]:
        answered = form.read(_post(port, form.path, form.body(asked)))
        expected = network.probabilities_female(asked).tolist()
        if len(answered) != len(expected) or not all(
            math.isclose(one, other, rel_tol=_TOLERANCE) for one, other in zip(answered, expected, strict=True)
        ):
            raise WrongAnswerError(f"wrong answer from {form.path}: {answered[:3]} instead of {expected[:3]}")


def _post(port: int, path: str, body: bytes) -> Any:  # noqa: ANN401 - whatever JSON can say
    """The document answered. FailureError for any answer but 200, and for none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise FailureError(f"no answer from {path}: {error!r}") from None
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise FailureError(f"{response.status} from {path}: {content[:200].decode(errors='replace')}")
    return json.loads(content)
