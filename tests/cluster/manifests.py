"""The manifests of ``cluster/kubernetes``: read, rendered, checked against KubeRay's schemas."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
KUBERNETES = CLUSTER / "kubernetes"
KUSTOMIZE = next(
    (words for words in (["kustomize", "build"], ["kubectl", "kustomize"]) if shutil.which(words[0])),
    None,
)


def documents(path: Path) -> list[dict[str, Any]]:
    """All of a file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def render(folder: Path) -> list[dict[str, Any]]:
    """What would be applied."""
    assert KUSTOMIZE is not None
    done = subprocess.run([*KUSTOMIZE, str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document is not None]


def strict(schema: Any) -> Any:
    """A schema of Kubernetes' that refuses fields which it does not name."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tight = {key: strict(value) for key, value in schema.items()}
    open_to_all = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_to_all:
        tight["additionalProperties"] = False
    return tight


def definition(plural: str) -> dict[str, Any]:
    """KubeRay's schema of a kind."""
    crd = json.loads((Path(__file__).parent / "crds" / f"ray.io_{plural}.json").read_text())
    schema: dict[str, Any] = strict(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    return schema


def inside(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """A part of a schema; lists are stepped into."""
    for name in path.split("."):
        schema = schema.get("items", schema)["properties"][name]
    return schema


RAY_CLUSTER, RAY_JOB = definition("rayclusters"), definition("rayjobs")
_HEAD = "spec.headGroupSpec"
_VOLUME = f"{_HEAD}.template.spec.volumes.ephemeral.volumeClaimTemplate"
#: KubeRay's schemas hold those of Kubernetes' own kinds: which part of a kind is described where.
SCHEMAS = {
    "RayCluster": [("", RAY_CLUSTER)],
    "RayJob": [("", RAY_JOB)],
    "Deployment": [("spec.template", inside(RAY_CLUSTER, f"{_HEAD}.template"))],
    "Service": [("spec", inside(RAY_CLUSTER, f"{_HEAD}.headService.spec"))],
    "PersistentVolumeClaim": [("spec", inside(RAY_CLUSTER, f"{_VOLUME}.spec"))],
    "NetworkPolicy": [
        ("spec.ingress", inside(RAY_CLUSTER, "spec.networkPolicy.head.ingressRules")),
        ("spec.egress", inside(RAY_CLUSTER, "spec.networkPolicy.head.egressRules")),
    ],
}


def validate(document: dict[str, Any]) -> None:
    """Check a manifest against the schema of its kind.

    Raises:
        jsonschema.ValidationError: If it has a field that its kind does not have, or one with a wrong value.
    """
    for path, schema in SCHEMAS[document["kind"]]:
        part: Any = document
        for name in filter(None, path.split(".")):
            part = part[name]
        jsonschema.validate(part, schema)


def pods(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pod templates of a manifest, by name."""
    spec = document.get("spec", {})
    if document["kind"] == "Deployment":
        yield "redis", spec["template"]
    if "submitterPodTemplate" in spec:
        yield "submitter", spec["submitterPodTemplate"]
    cluster = spec.get("rayClusterSpec", spec)
    if "headGroupSpec" in cluster:
        yield "head", cluster["headGroupSpec"]["template"]
        for group in cluster["workerGroupSpecs"]:
            yield group["groupName"], group["template"]
