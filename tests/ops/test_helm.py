"""The Helm chart renders valid Kubernetes objects with the settings that the server needs."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate

from tests.house.sources import ROOT
from tests.ops import programs

CHART = ROOT / "deploy" / "helm" / "thinking-server"
KUBERNETES = "1.35"
KEYS = "keys.existingSecret=keys"
VALUES = {
    "open": ["keys.allowAnonymous=true"],
    "keys": [KEYS],
    "gpu": [
        KEYS,
        "gpu.count=2",
        "nodeSelector.pool=gpu",
        "tolerations[0].key=nvidia.com/gpu",
        "tolerations[0].operator=Exists",
        "runtimeClassName=nvidia",
        "arguments={--tensor-parallel-size,2}",
    ],
    "shared": [
        KEYS,
        "replicas=3",
        "modelCache.persistent=true",
        "modelCache.accessMode=ReadWriteMany",
        "modelCache.storageClass=nfs",
        "quotaStorage.existingSecret=redis",
        "ledger.existingSecret=ledger",
        "thoughtKeys.existingSecret=thoughts",
        "environment.HF_HOME=/models/hub",
    ],
    "hpa": [KEYS, "autoscaling.kind=hpa"],
    "keda": [KEYS, "autoscaling.kind=keda"],
    "observed": [
        KEYS,
        "monitoring.serviceMonitor=true",
        "monitoring.prometheusRule=true",
        "monitoring.existingSecret=metrics",
        "networkPolicy.allowEgress=false",
    ],
}
# Third-party kinds, whose schemas are not part of Kubernetes.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    path = programs.program("helm")
    return subprocess.run(
        [path, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def settings(values: list[str]) -> list[str]:
    return [part for value in values for part in ("--set", value)]


def rendered(values: list[str]) -> dict[str, dict[str, Any]]:
    """Return the rendered documents by kind."""
    result = helm("template", "proof", str(CHART), *settings(values))
    assert result.returncode == 0, result.stderr
    documents = [document for document in yaml.safe_load_all(result.stdout) if document]
    return {document["kind"]: document for document in documents}


def pod(values: list[str]) -> dict[str, Any]:
    spec: dict[str, Any] = rendered(values)["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("name", VALUES)
def test_helm_finds_nothing(name: str) -> None:
    result = helm("lint", "--strict", str(CHART), *settings(VALUES[name]))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", VALUES)
def test_kubernetes_takes_what_is_rendered(name: str) -> None:
    documents = rendered(VALUES[name])
    for kind, document in documents.items():
        if kind not in FOREIGN:
            validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [KEYS, "keys.allowAnonymous=true"],
        [KEYS, "image.tag=latest"],
        [KEYS, "drainSeconds=0"],
        [KEYS, "unknown=1"],
        [KEYS, "replicas=2", "modelCache.persistent=true"],
        [KEYS, "autoscaling.metric=cpu"],
    ],
)
def test_values_that_cannot_work_are_refused(values: list[str]) -> None:
    assert helm("template", "proof", str(CHART), *settings(values)).returncode != 0


@pytest.mark.parametrize("seconds", [1, 30, 3600])
def test_a_pod_is_given_more_time_than_its_drain(seconds: int) -> None:
    spec = pod([KEYS, f"drainSeconds={seconds}"])
    assert f"--drain-seconds={seconds}" in spec["containers"][0]["args"]
    assert spec["terminationGracePeriodSeconds"] >= seconds + 5 + 15


def test_loading_and_draining_kill_no_pod() -> None:
    (container,) = pod([KEYS])["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/version"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 30 * 60


@pytest.mark.parametrize("name", VALUES)
def test_the_container_may_do_little(name: str) -> None:
    spec = pod(VALUES[name])
    assert spec["securityContext"]["runAsNonRoot"]
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert not security["allowPrivilegeEscalation"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/models", "/tmp", "/dev/shm"} <= mounted
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_secrets_are_named_and_never_written() -> None:
    (container,) = pod(VALUES["shared"])["containers"]
    secret = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"]
        for entry in container["env"]
        if "valueFrom" in entry
    }
    assert secret == {
        "THINKING_SERVER_THOUGHT_KEYS": "thoughts",
        "THINKING_SERVER_QUOTA_STORAGE": "redis",
        "THINKING_SERVER_LEDGER": "ledger",
        "THINKING_SERVER_LEDGER_KEYS": "ledger",
    }


def test_gpus_are_asked_for_as_limits() -> None:
    limits = pod(VALUES["gpu"])["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 2
    assert "nvidia.com/gpu" not in pod(VALUES["keys"])["containers"][0]["resources"]["limits"]


def test_alert_rules_are_those_of_prometheus() -> None:
    rules = Path(ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    assert rendered(VALUES["observed"])["PrometheusRule"]["spec"] == yaml.safe_load(rules)


@pytest.mark.parametrize(("target", "threshold"), [("700m", "0.7"), ("8", "8")])
def test_keda_and_the_autoscaler_mean_the_same_target(target: str, threshold: str) -> None:
    values = [KEYS, f"autoscaling.target={target}"]
    scaled = rendered([*values, "autoscaling.kind=keda"])["ScaledObject"]["spec"]
    assert scaled["triggers"][0]["metadata"]["threshold"] == threshold
    documents = rendered([*values, "autoscaling.kind=hpa"])
    metric = documents["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]
    assert metric["target"]["averageValue"] == target
    assert "replicas" not in documents["Deployment"]["spec"]
