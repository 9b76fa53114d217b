"""`python -m model.cli`, for where the script `stature` is not on the path."""

from model.cli import main

main()
