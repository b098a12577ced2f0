"""Manifests fit KubeRay's schemas, hold no secret and ask for no rights; overlays render."""

import copy
import re

import jsonschema
import pytest

from tests.cluster.manifests import KUBERNETES, KUSTOMIZE, documents, pods, render, validate

MANIFESTS = [
    *sorted(
        path for path in (KUBERNETES / "base").glob("*.yaml") if path.name not in ("kustomization.yaml", "names.yaml")
    ),
    KUBERNETES / "job" / "rayjob.yaml",
]
ALL = [document for path in MANIFESTS for document in documents(path)]
PODS = {name: template for document in ALL for name, template in pods(document)}
CLUSTER = next(document for document in ALL if document["kind"] == "RayCluster")
POLICIES = [document["spec"] for document in ALL if document["kind"] == "NetworkPolicy"]
KUSTOMIZATIONS = sorted(KUBERNETES.rglob("kustomization.yaml"))
OVERLAYS = [KUBERNETES / "base", *sorted((KUBERNETES / "overlays").iterdir())]


def name_of(document):
    return f"{document['kind']}/{document['metadata']['name']}"


@pytest.mark.parametrize("document", ALL, ids=name_of)
def test_a_manifest_fits_the_schema_of_its_kind(document):
    validate(document)


def worsen(document, path, value):
    worse = copy.deepcopy(document)
    *parents, last = path
    part = worse
    for name in parents:
        part = part[name]
    part[last] = value
    return worse


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["spec", "authOption"], {}),
        (["spec", "authOptions", "mode"], "tokens"),
        (["spec", "workerGroupSpecs", 0, "minReplica"], 1),
        (["spec", "workerGroupSpecs", 0, "minReplicas"], "one"),
        (["spec", "headGroupSpec", "template", "spec", "containers", 0, "securityContexts"], {}),
    ],
)
def test_a_wrong_field_is_refused(path, value):
    with pytest.raises(jsonschema.ValidationError):
        validate(worsen(CLUSTER, path, value))


def test_a_wrong_field_of_a_kind_of_kubernetes_is_refused():
    for document in ALL:
        path = {"Deployment": ["spec", "template", "spec", "tolerate"], "Service": ["spec", "ports", 0, "target"]}.get(
            document["kind"]
        )
        if path:
            with pytest.raises(jsonschema.ValidationError):
                validate(worsen(document, path, 1))


def check_pod(name, template):
    spec = template["spec"]
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == "meqc-marl", "the NetworkPolicy knows it by this"
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert name == "head" or spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not container["securityContext"].get("privileged")
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory"}
        assert re.search(r":\d+\.\d", container["image"]), "an image has a version"
        if name != "submitter":
            assert {"readinessProbe", "livenessProbe"} <= set(container)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_rights_and_fixed_limits(name):
    assert set(PODS) == {"head", "driver", "trials", "redis", "submitter"}
    check_pod(name, PODS[name])


def strings(part):
    """Names of environment variables and such, with the values beside them."""
    if isinstance(part, dict):
        if "name" in part and "value" in part:
            yield part["name"], part["value"]
        for key, value in part.items():
            if isinstance(value, str):
                yield key, value
            yield from strings(value)
    elif isinstance(part, list):
        for value in part:
            yield from strings(value)


def test_no_file_holds_a_secret():
    for path in KUBERNETES.rglob("*.yaml"):
        for document in documents(path):
            parts = document if isinstance(document, list) else [document]
            assert all(part.get("kind") != "Secret" for part in parts), path
            assert not any("secretGenerator" in part for part in parts), path
            for key, value in strings(document):
                assert not re.fullmatch(r"(?i).*(password|passwd|token|secret|auth)", key), f"{path}: {key}={value}"


def test_the_head_does_no_work_and_drivers_are_pinned():
    spec = CLUSTER["spec"]
    assert spec["headGroupSpec"]["resources"]["CPU"] == "0"
    driver, trials = spec["workerGroupSpecs"]
    assert (driver["minReplicas"], driver["replicas"], driver["maxReplicas"]) == (1, 1, 1)
    assert float(driver["resources"]["driver"]) > 0.001
    assert trials["minReplicas"] == 0 < trials["maxReplicas"]
    assert "driver" not in trials.get("resources", {})
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["authOptions"] == {"mode": "token"}
    assert "secretKeyRef" in spec["gcsFaultToleranceOptions"]["redisPassword"]["valueFrom"]


def test_the_redis_of_the_cluster_is_the_service():
    service = next(document for document in ALL if document["kind"] == "Service")
    deployment = next(document for document in ALL if document["kind"] == "Deployment")
    address = CLUSTER["spec"]["gcsFaultToleranceOptions"]["redisAddress"]
    assert address == f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_only_pods_of_the_cluster_and_the_operator_come_in():
    mine = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "meqc-marl"}}}
    everyone, head = POLICIES
    assert everyone["podSelector"] == mine["podSelector"]
    assert everyone["ingress"] == [{"from": [mine]}]
    assert set(head["podSelector"]["matchLabels"]) == {"app.kubernetes.io/name", "ray.io/node-type"}
    (rule,) = head["ingress"]
    assert list(rule["from"][0]) == ["namespaceSelector"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8265}]
    for policy in POLICIES:
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert all(rule.get("to") or rule.get("ports") for rule in policy["egress"])


def test_a_job_goes_on_where_it_stopped():
    (job,) = documents(KUBERNETES / "job" / "rayjob.yaml")
    words = job["spec"]["entrypoint"].split()
    assert words[:2] == ["meqc-marl", "sweep"]
    assert words[words.index("--storage") + 1].startswith("/results/")
    assert job["spec"]["backoffLimit"] > 0
    for group in ("headGroupSpec", *range(2)):
        owner = CLUSTER["spec"]
        template = (owner[group] if isinstance(group, str) else owner["workerGroupSpecs"][group])["template"]["spec"]
        assert {"name": "results", "mountPath": "/results"} in template["containers"][0]["volumeMounts"]


def matches(target, document):
    kind, name = target.get("kind"), target.get("name")
    return kind in (None, document["kind"]) and name in (None, document["metadata"]["name"])


def contents(folder):
    """What a kustomization starts from, without its changes."""
    (kustomization,) = documents(folder / "kustomization.yaml")
    for name in [*kustomization.get("resources", []), *kustomization.get("components", [])]:
        path = folder / name
        assert path.exists(), f"{folder}: {name}"
        yield from contents(path) if path.is_dir() else documents(path)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_a_kustomization_names_what_is_there(path):
    (kustomization,) = documents(path)
    known = list(contents(path.parent))
    if kustomization["kind"] == "Component":
        known += contents(KUBERNETES / "base")
    for name in kustomization.get("configurations", []):
        assert (path.parent / name).exists()
    for patch in kustomization.get("patches", []):
        assert any(matches(patch["target"], document) for document in known), patch
        assert "path" not in patch or (path.parent / patch["path"]).exists()
    for replacement in kustomization.get("replacements", []):
        assert any(matches(replacement["source"], document) for document in known), replacement
        for target in replacement["targets"]:
            assert any(matches(target["select"], document) for document in known), replacement
    images = {
        container["image"].split(":")[0] for template in PODS.values() for container in template["spec"]["containers"]
    }
    assert {image["name"] for image in kustomization.get("images", [])} <= images


@pytest.mark.skipif(KUSTOMIZE is None, reason="needs kustomize or kubectl")
@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda path: path.name)
def test_an_overlay_renders_to_something_whole(folder):
    rendered = render(folder)
    for document in rendered:
        validate(document)
        for name, template in pods(document):
            check_pod(name, template)
    names = {
        kind: {d["metadata"]["name"] for d in rendered if d["kind"] == kind}
        for kind in ("Service", "PersistentVolumeClaim")
    }
    (ray,) = [document for document in rendered if document["apiVersion"] == "ray.io/v1"]
    cluster = ray["spec"].get("rayClusterSpec", ray["spec"])
    assert cluster["gcsFaultToleranceOptions"]["redisAddress"].split(":")[0] in names["Service"]
    for _, template in pods(ray):
        for volume in template["spec"].get("volumes", []):
            assert volume["persistentVolumeClaim"]["claimName"] in names["PersistentVolumeClaim"]
    assert ray["kind"] == ("RayJob" if folder.name.endswith("-job") else "RayCluster")
    if folder.name != "base":
        trials = cluster["workerGroupSpecs"][1]["template"]["spec"]
        assert trials["nodeSelector"]
        assert trials["tolerations"]
        assert "nodeSelector" not in cluster["workerGroupSpecs"][0]["template"]["spec"]
        images = {c["image"] for _, template in pods(ray) for c in template["spec"]["containers"]}
        assert images == {"registry.example.com/meqc-marl:0.1.0"}
