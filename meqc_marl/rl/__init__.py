"""The learner on RLlib. Import its modules directly: only some of them need Ray."""
