"""Whether a Ray cluster answers, told in one sentence and in time.

Ray itself waits for minutes, or for ever, for a head that is not there. So the question is asked by a process of its
own (``python -m meqc_marl.jobs.reach HOST:PORT``), which can be ended; it registers nothing on the cluster.
"""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import subprocess
import sys
from contextlib import suppress

import ray

from meqc_marl.errors import InputError

CONNECT_S = 5.0
"""For a connection to the head's port."""
ANSWER_S = 22.0
"""For all else: the start of a process, its import of Ray and the head's answer. With the above less than 30 s."""
_HINT = "RAY_ADDRESS must be HOST:PORT of the head of a cluster that this machine is part of (or auto); leave it out"
_HINT += " for a Ray of this process's own"
_TOKEN_HINT = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file of the cluster's token"


def reach(address: str) -> str:
    """See that the cluster at an address takes this process.

    Args:
        address: ``auto``, or HOST:PORT of the head, as in the environment variable ``RAY_ADDRESS``.

    Returns:
        HOST:PORT.

    Raises:
        InputError: If it does not, told within 30 s: nobody listens, it is no Ray, it runs another version, asks for
            another token, or this machine is not part of it.
    """
    host, port = _parsed(_found() if address == "auto" else address)
    where = f"{host}:{port}"
    try:
        socket.create_connection((host.strip("[]"), port), CONNECT_S).close()
    except (OSError, UnicodeError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or error
        raise InputError(f"the Ray cluster at {where} cannot be reached ({why}); {_HINT}.") from error
    command = [sys.executable, "-m", "meqc_marl.jobs.reach", where]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"what listens at {where} does not answer as a Ray cluster; {_HINT}.") from None
    answer = {}
    for line in done.stdout.splitlines():  # Ray may say more
        with suppress(ValueError):
            answer = json.loads(line)
    if "problem" not in answer:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200].rstrip(".")
        raise InputError(f"the Ray cluster at {where} cannot be used: {last}.")
    if answer["problem"] is not None:
        raise InputError(f"the Ray cluster at {where} {answer['problem']}.")
    return where


def _found() -> str:
    """The address of the cluster that was started on this machine."""
    from ray._private.services import get_ray_address_from_environment

    try:
        found = get_ray_address_from_environment("auto", None)
    except (ConnectionError, OSError, ValueError):
        found = None
    if not found or found == "local":
        raise InputError(f"RAY_ADDRESS is auto, and no Ray cluster runs on this machine; {_HINT}.")
    return str(found)


def _parsed(address: str) -> tuple[str, int]:
    scheme, separator, _ = address.rpartition("://")
    if separator:
        shown = re.sub("[^a-z]", "", scheme.lower())[:20]
        raise InputError(f"RAY_ADDRESS begins with {shown}://; {_HINT}, or use 'meqc-marl submit' from outside.")
    host, _, port = address.rpartition(":")
    if "@" in address or not host or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        shown = "...@" + address.rpartition("@")[2] if "@" in address else address
        raise InputError(f"RAY_ADDRESS is '{shown[:80]}'; {_HINT}.")
    return host, int(port)


def problem_of(address: str) -> str | None:
    """What keeps this process from the cluster, as the end of a sentence; None if nothing does."""
    from ray._common.usage.usage_lib import get_cluster_metadata
    from ray._private.services import find_node_ids
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    try:
        client = GcsClient(address=address)
        there = get_cluster_metadata(client) or {}
        nodes = client.get_all_node_info(timeout=ANSWER_S)
    except Exception as error:  # whatever its C++ raises
        said = " ".join(str(error).split())[:200].rstrip(".")
        if re.search("unauthenticated|token", said, re.IGNORECASE):
            return f"refuses the token; {_TOKEN_HINT}"
        return f"does not answer as one should: {said}"
    digits = 2 if os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL") == "minor" else 3  # Ray's own rule
    for what, theirs, ours, counted in (
        ("Ray", there.get("ray_version"), ray.__version__, None),
        ("Python", there.get("python_version"), platform.python_version(), digits),
    ):
        if theirs is not None and theirs.split(".")[:counted] != ours.split(".")[:counted]:
            return f"runs {what} {theirs} and this is {what} {ours}; both must be the same"
    alive = {node.hex() for node, info in nodes.items() if info.state == 0}
    if not alive & set(find_node_ids()):
        return "has no node on this machine; run the command on one of its nodes, or use 'meqc-marl submit'"
    return None


if __name__ == "__main__":
    print(json.dumps({"problem": problem_of(sys.argv[1])}))
