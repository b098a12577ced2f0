"""Section III of the paper as pure functions on arrays [..., M], one file a subject; SI units throughout."""
