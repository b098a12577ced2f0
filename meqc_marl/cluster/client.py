"""Ray's job API from outside the cluster: every question ends in time, every refusal is one sentence."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
import requests
from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled
from ray.exceptions import AuthenticationError, RayError
from urllib3.exceptions import HTTPError

from meqc_marl.errors import InputError
from meqc_marl.uris import check_address

_TIMEOUT_S = 10.0
_LOST_S = 120.0
_POLL_S = 1.0
_LARGEST = 2**28
WAITING = "waiting: "
"""Begins a line that is not the job's but Ray's reason why it has not begun."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_TOKEN_HINT = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file of the cluster's token"


@dataclass(frozen=True)
class Needs:
    """What a job's own process takes on its machine.

    Attributes:
        resources: Custom resources.
        cpus, gpus: Cores and graphics processors.
    """

    resources: dict[str, float] = field(default_factory=dict)
    cpus: float = 0.0
    gpus: float = 0.0


@dataclass(frozen=True)
class JobClient:
    """Jobs of one cluster.

    Attributes:
        address: Of the dashboard, such as ``http://127.0.0.1:8265``.
    """

    address: str

    def check(self) -> None:
        """See that the cluster answers, takes the token and runs this version of Ray.

        Raises:
            InputError: If it does not.
        """
        check_address(self.address)
        version = self._get("/api/version").get("ray_version")
        if version is None:
            raise InputError(f"address '{self.address}' answers, but not as a Ray dashboard.")
        if version != ray.__version__:
            raise InputError(
                f"the cluster at {self.address} runs Ray {version} and this is Ray {ray.__version__}; "
                "both must be the same."
            )
        self._get("/api/jobs/")  # the version is told to anyone

    def check_resource(self, name: str) -> None:
        """See that a machine of the cluster has a custom resource.

        Raises:
            InputError: If none has: Ray would wait a quarter of an hour for one.
        """
        nodes = self._get("/api/v0/nodes?limit=10000")["data"]["result"]["result"]
        if not any(name in node["resources_total"] for node in nodes if node["state"] == "ALIVE"):
            raise InputError(
                f"no machine of the cluster at {self.address} has the resource '{name}'; name another, or say that the "
                "cluster grows (--autoscaling)."
            )

    def running(self, storage: str, digest: str) -> str | None:
        """The job that works on a storage now, if any.

        Args:
            storage: By the name that jobs on it are told by.
            digest: Of the work.

        Raises:
            InputError: If it is not the same work.
        """
        for job in self._get("/api/jobs/"):
            mine = (job.get("metadata") or {}).get("storage") == storage
            if not mine or job.get("status") in ENDED or not job.get("submission_id"):
                continue
            if job["metadata"].get("digest") != digest:
                raise InputError(
                    f"job {job['submission_id']} works on storage '{storage}' with other options; give its command, "
                    "name another storage, or stop it."
                )
            return str(job["submission_id"])
        return None

    def submit(self, entrypoint: str, metadata: dict[str, str], runtime_env: dict[str, Any], needs: Needs) -> str:
        """Start a job on the cluster and return its name.

        Args:
            entrypoint: Command line.
            metadata: What it works on, by which it is found again.
            runtime_env: Ray's; a working directory in it is uploaded.
            needs: Of the machine that the driver runs on.
        """
        from ray.job_submission import JobSubmissionClient

        try:
            name: str = JobSubmissionClient(self.address).submit_job(
                entrypoint=entrypoint,
                runtime_env=runtime_env,
                metadata=metadata,
                entrypoint_resources=needs.resources or None,
                entrypoint_num_cpus=needs.cpus or None,
                entrypoint_num_gpus=needs.gpus or None,
            )
        except (RuntimeError, ConnectionError, ValueError, RayError, requests.RequestException) as error:
            reason = " ".join(str(error).split())[:300].rstrip(".")
            raise InputError(f"the cluster at {self.address} does not take the job: {reason}.") from error
        return name

    def status(self, job: str) -> tuple[str, str]:
        """Ray's word for how a job stands, and its reason."""
        job_info = self._get(f"/api/jobs/{job}")
        return str(job_info["status"]), " ".join(str(job_info.get("message") or "").split())

    def log(self, job: str) -> str:
        """All that a job has printed."""
        return str(self._get(f"/api/jobs/{job}/logs").get("logs", ""))

    def follow(self, job: str) -> Iterator[str]:
        """Lines of a job's log as they come, until it ends; silence of the cluster is waited out for two minutes.

        While the job has not begun, what it waits for, after :data:`WAITING`.

        Raises:
            InputError: If the cluster does not come back.
        """
        told, heard, waits_for = 0, time.monotonic(), ""
        while True:
            try:
                status, message = self.status(job)  # asked first: what it says last is in the log by then
                log = self.log(job)
                heard = time.monotonic()
            except InputError:
                if time.monotonic() - heard > _LOST_S:
                    raise
                time.sleep(_POLL_S)
                continue
            if status == "PENDING" and message != waits_for:
                yield f"{WAITING}{message}"
                waits_for = message
            ended = status in ENDED
            whole = len(log) if ended else log.rfind("\n") + 1
            if whole > told:
                yield from log[told:whole].splitlines()
                told = whole
            if ended:
                return
            time.sleep(_POLL_S)

    def _get(self, path: str) -> Any:
        try:
            headers = get_auth_headers_if_auth_enabled({})
        except (AuthenticationError, RuntimeError) as error:
            raise InputError(f"there is no token to show to {self.address}; {_TOKEN_HINT}.") from error
        try:
            url = self.address.rstrip("/") + path
            with requests.get(url, headers=headers, timeout=_TIMEOUT_S, stream=True) as answer:
                body = answer.raw.read(_LARGEST + 1, decode_content=True)
        except (requests.RequestException, HTTPError) as error:
            why = "no answer in time" if isinstance(error, requests.Timeout) else "no connection"
            raise InputError(
                f"address '{self.address}' cannot be reached ({why}); the head must be up and its port 8265 forwarded."
            ) from error
        if len(body) > _LARGEST:
            raise InputError(f"the cluster at {self.address} answers more than {_LARGEST:,} bytes to {path}.")
        if answer.status_code in (401, 403):
            what = "refuses the token" if headers else "asks for a token"
            raise InputError(f"the cluster at {self.address} {what}; {_TOKEN_HINT}.")
        if answer.status_code >= 400:
            reason = " ".join(body[:1_000].decode(errors="replace").split())[:200].rstrip(".")
            raise InputError(f"the cluster at {self.address} answers {answer.status_code} to {path}: {reason}.")
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InputError(f"address '{self.address}' answers, but not as a Ray dashboard.") from error
