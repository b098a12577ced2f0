"""Quality, ablation and speed of the learner, speed of policy and simulator, and the public benchmark tasks."""
