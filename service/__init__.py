"""HTTP: validates measurements and answers with the champion's probability. Stands on `model`."""
