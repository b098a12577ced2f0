"""Tolls on work that is sent to queues: announced prices and their search, weights of real queues, a learned value."""
