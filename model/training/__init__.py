"""From a file of people to a published version.

people.py       read, validate, count identical rows, hold people out
evaluation.py   how good a version is, against what anyone can have for nothing, and against the champion
job.py          file -> people -> fit -> evaluate -> publish -> gate
"""
