"""How long a sweep takes on a cluster: model, measurement, and stand-in trials."""
