"""This system on RLlib: environments, callbacks, configuration, evaluation, TensorBoard. Import modules directly."""
