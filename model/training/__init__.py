"""From a file of people to a published version, and back to people with it.

reading.py       a file: parsed, checked, identical rows counted, bad ones explained
people.py        the people of a file: counted, held out, known by a fingerprint
together.py      bins put together, so that none shows a single person
description.py   what a manifest says of the people, without showing any one of them
metrics.py       how good probabilities are
bootstrap.py     how far a figure would move with other people of the same kind
evaluation.py    how good a version is, against what anyone can have for nothing, and for whom
gate.py          whether a candidate may become champion, from figures alone
judging.py       candidate and champion on the same people
publication.py   published with its verdict, and promoted
job.py           file -> people -> fit -> evaluate -> publish -> gate
recalibration.py a version for another population
reproduce.py     a version trained again from its manifest
likeness.py      whether people look like those that a version was trained on
elsewhere.py     how good a version is on the people of any file
"""
