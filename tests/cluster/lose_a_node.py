"""A study on a cluster of two nodes, one of which is lost in the middle and replaced; prints what came of it.

``python lose_a_node.py FOLDER``, in a process of its own.
"""

import json
import logging
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from meqc_marl.config import load_scenario
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.study import run_study
from meqc_marl.jobs.sweep import sweep_study


def study():
    """Two trials of some seconds."""
    learner = {"hidden": [16, 16], "replay_capacity": 5_000}
    base = Run(scenario=load_scenario("small", ["horizon=50"]), env_steps=24_000, learner=learner)
    return sweep_study(base, (0.1, 1.0), (0.5,), (0,))


def told(records):
    """What must not depend on faults."""
    return [[r.name, r.env_steps, r.error, r.metrics, [list(point) for point in r.curve]] for r in records]


def main(folder):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    lost = []

    def lose():
        while not list(folder.glob("trials/*/checkpoint_*")):
            time.sleep(0.1)
        cluster.remove_node(nodes[0], allow_graceful=False)
        lost.append(time.time())
        cluster.add_node(num_cpus=1)

    thread = threading.Thread(target=lose)
    thread.start()
    records = run_study(study(), folder)
    thread.join()
    print("RESULT", json.dumps({"told": told(records), "lost": len(lost)}))
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
