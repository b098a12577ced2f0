"""DQN + DDPG for mixed discrete-continuous actions on RLlib: any environment with one Discrete plus Boxes.

Nothing here imports the rest of the package. Import the modules directly: :mod:`networks` needs PyTorch only, the
others Ray as well.
"""
