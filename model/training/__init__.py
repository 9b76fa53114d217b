"""From a file of people to a published version.

reading.py      a file: parsed, checked, identical rows counted, bad ones explained
people.py       the people of a file: counted, held out, known by a fingerprint
description.py  what a manifest says of the people, without showing any one of them
evaluation.py   how good a version is, against what anyone can have for nothing, and against the champion
reproduce.py    a version trained again from its manifest
job.py          file -> people -> fit -> evaluate -> publish -> gate
"""
