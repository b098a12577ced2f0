"""Random situations, wider than any scenario makes them."""

from dataclasses import fields

import numpy as np

from meqc_marl.physics.choices import Choices
from meqc_marl.physics.cost import PlaceCosts


def random_places(rng, shape):
    """Latencies and energies over three decades; about half of the deadlines are hard to meet."""

    def spread(*size):
        return 10.0 ** rng.uniform(-1, 2, size)

    return PlaceCosts(
        latency_s=spread(3, *shape),
        energy_j=spread(3, *shape),
        ack_latency_s=rng.choice([0.0, 0.01, 1.0], shape),
        ack_energy_j=rng.choice([0.0, 0.01, 1.0], shape),
        deadline_s=spread(*shape),
        qpu_admitted=rng.random(shape) < 0.7,
        latency_weight=rng.choice([0.0, 0.5, 1.0], shape),
        energy_weight=rng.choice([0.2, 0.5, 1.0], shape),
    )


def assert_same_places(one, other):
    """All costs, and what each device may choose, bit for bit."""
    for field in fields(PlaceCosts):
        if field.name != "choices":
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)
    for field in fields(Choices):
        mine, theirs = (getattr(places.choices, field.name) for places in (one, other))
        np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
