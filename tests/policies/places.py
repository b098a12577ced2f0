"""Random situations, wider than any scenario makes them."""

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
