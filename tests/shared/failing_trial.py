"""A trial that diverges at one V, for sweeps in which not everything goes well."""

from meqc_marl.jobs.trial import OffloadingTrial

FAILS_AT_V = 2.0


class DivergingTrial(OffloadingTrial):
    """Tells after a step that its gradients are not finite, where V is FAILS_AT_V."""

    def step(self):
        result = super().step()
        if self._identity["scenario"]["lyapunov"]["v"] == FAILS_AT_V:
            raise FloatingPointError("the gradient of critic is nan: rewards or observations are not finite.")
        return result
