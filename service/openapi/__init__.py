"""The API's description, OpenAPI 3.1: every route, generated from the models of what comes in and goes out.

    schemas, answers ──► named schemas ─┐
    errors           ──► problems       ├──► document(release)
    routes           ──► paths         ─┘

A test holds it equal to what the application answers.
"""
