"""The command line of a job on the cluster, for a Python that may lack the package.

Ray starts it by a shell on the machine of the driver. Which Python that is, ``--python`` says; one without the package
says so in a message of the protocol, which is why the words below need nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence

from meqc_marl.jobs.kinds import VARIABLE, Description
from meqc_marl.jobs.protocol import KEY

_PROBE = f"""
import json, sys
try:
    from {{module}} import main
except ImportError as error:
    print(json.dumps({{{{"{KEY}": "failure", "sentence": "the job's Python, %s, has no module %r; name a Python of the "
          "cluster that has this package (--python), or give a runtime environment (--runtime-env)." % (sys.executable,
          error.name)}}}}, separators=(",", ":")))
    sys.exit(2)
sys.exit(main(*sys.argv[1:]))
"""
NO_PYTHON = 127
"""Exit code of a shell that does not find the Python."""


def command(python: str, module: str, words: Sequence[str] = ()) -> str:
    """A command line that runs ``main`` of a module."""
    # In one line: Ray repeats the command in the job's log, and its last line must not be taken for the job's word.
    return shlex.join([python, "-c", f"exec({_PROBE.format(module=module)!r})", *words])


def job_command(python: str) -> str:
    """Of the job whose description is in the environment."""
    return command(python, "meqc_marl.jobs.main")


def archive_command(python: str, where: str, names: Sequence[str]) -> str:
    """Of what prints the report of a storage."""
    return command(python, "meqc_marl.cluster.archive", [where, *names])


def with_description(runtime_env: dict[str, object], description: Description) -> dict[str, object]:
    """A runtime environment that brings the description along."""
    variables = runtime_env.get("env_vars") or {}
    assert isinstance(variables, dict)
    return runtime_env | {"env_vars": {**variables, VARIABLE: description.to_json()}}


def digest_of(description: Description) -> str:
    """What tells whether two descriptions are of the same work, wherever and however it runs."""
    content = {"kind": description.job.kind, "job": description.job.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
