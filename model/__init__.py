"""Everything but HTTP: the network, its training, the registry of versions, and the `stature` command."""
