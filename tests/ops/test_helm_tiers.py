"""The Helm chart with engines in pods of their own, and the example of an inference gateway."""

from typing import Any

import pytest
import yaml
from kubernetes_validate import validate

from server.hub.model_resolution import EMBEDDED_MODELS
from tests.house.sources import ROOT
from tests.ops.test_helm import CHART, FOREIGN, KEYS, KUBERNETES, helm, settings

EXAMPLES = ROOT / "deploy" / "kubernetes"
FRONT_END, ENGINE = "proof-thinking-server", "proof-thinking-server-engine"
REMOTE = [KEYS, "engine.tier=remote", "engine.key.existingSecret=engine", "model=Qwen/Qwen3-8B"]
VALUES = {
    "service": REMOTE,
    "pods": [*REMOTE, "engine.addressing=pods", "engine.replicas=3"],
    "gpu": [
        *REMOTE,
        "engine.gpu.count=2",
        "engine.image.repository=registry.example/vllm",
        "engine.image.tag=0.32.0",
        "engine.arguments={--tensor-parallel-size,2}",
        "engine.nodeSelector.pool=gpu",
        "engine.runtimeClassName=nvidia",
    ],
    "hpa": [*REMOTE, "autoscaling.kind=hpa", "engine.autoscaling.kind=hpa"],
    "keda": [*REMOTE, "autoscaling.kind=keda", "engine.autoscaling.kind=keda"],
    "closed": [*REMOTE, "networkPolicy.allowEgress=false"],
    "elsewhere": [
        KEYS,
        "engine.tier=remote",
        "engine.create=false",
        "engine.urls={http://router:8000}",
        "model=Qwen/Qwen3-8B",
    ],
    "cache": [
        *REMOTE,
        "engine.modelCache.persistent=true",
        "engine.modelCache.accessMode=ReadWriteMany",
    ],
}
Document = dict[str, Any]


def render(values: list[str], *options: str) -> dict[tuple[str, str], Document]:
    """Return the rendered documents by kind and name."""
    result = helm("template", "proof", str(CHART), *options, *settings(values))
    assert result.returncode == 0, result.stderr
    documents = [document for document in yaml.safe_load_all(result.stdout) if document]
    found = {(one["kind"], one["metadata"]["name"]): one for one in documents}
    assert len(found) == len(documents)
    return found


def container_of(document: Document) -> Document:
    (container,) = document["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def labels_of(document: Document) -> dict[str, str]:
    labels = document["spec"]["template"]["metadata"]["labels"]
    assert isinstance(labels, dict)
    return labels


def selects(selector: dict[str, str], document: Document) -> bool:
    return selector.items() <= labels_of(document).items()


@pytest.mark.parametrize("name", VALUES)
def test_helm_and_kubernetes_take_what_is_rendered(name: str) -> None:
    result = helm("lint", "--strict", str(CHART), *settings(VALUES[name]))
    assert result.returncode == 0, result.stdout + result.stderr
    for (kind, _), document in render(VALUES[name]).items():
        if kind not in FOREIGN:
            validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "values",
    [
        ["engine.key.existingSecret="],
        ["gpu.count=1"],
        *([f"model={name}"] for name in EMBEDDED_MODELS if "scorer" not in name),
        ["engine.create=false"],
        ["engine.addressing=pods", "engine.autoscaling.kind=hpa"],
        ["engine.modelCache.persistent=true"],
        ["engine.tier=elsewhere"],
        ["engine.urls={router:8000}"],
        ["engine.image.repository=registry.example/vllm"],
        ["engine.autoscaling.metric=cpu"],
        ["engine.unknown=1"],
    ],
    ids=lambda values: ",".join(values),
)
def test_values_that_cannot_work_are_refused(values: list[str]) -> None:
    assert helm("template", "proof", str(CHART), *settings(REMOTE)).returncode == 0
    assert helm("template", "proof", str(CHART), *settings([*REMOTE, *values])).returncode != 0


def test_without_the_tier_nothing_of_an_engine_is_rendered() -> None:
    for _, name in render([KEYS]):
        assert "engine" not in name
    environment = container_of(render([KEYS])["Deployment", FRONT_END])["env"]
    assert "THINKING_SERVER_ENGINE_KEY" not in {entry["name"] for entry in environment}


def test_an_engine_takes_and_gives_tokens_only() -> None:
    engine = container_of(render(VALUES["gpu"])["Deployment", ENGINE])
    assert engine["command"] == ["vllm", "serve", "Qwen/Qwen3-8B"]
    assert {"--tokens-only", "--enable-prompt-tokens-details", "--port=8000"} <= set(engine["args"])
    assert engine["args"][-2:] == ["--tensor-parallel-size", "2"]
    assert engine["image"] == "registry.example/vllm:0.32.0"
    assert engine["resources"]["limits"]["nvidia.com/gpu"] == 2


def test_both_sides_have_the_same_key_and_it_is_written_nowhere() -> None:
    documents = render(REMOTE)
    for name, variable in ((FRONT_END, "THINKING_SERVER_ENGINE_KEY"), (ENGINE, "VLLM_API_KEY")):
        entries = container_of(documents["Deployment", name])["env"]
        (source,) = (entry["valueFrom"] for entry in entries if entry["name"] == variable)
        assert source == {"secretKeyRef": {"name": "engine", "key": "engine-key"}}


def get_engine_urls(document: Document) -> list[str]:
    arguments = container_of(document)["args"]
    return [word for word in arguments[arguments.index("--engine-url") + 1 :] if "://" in word]


def test_front_ends_find_the_engines_at_their_service() -> None:
    documents = render(REMOTE)
    assert get_engine_urls(documents["Deployment", FRONT_END]) == [f"http://{ENGINE}:8000"]
    service = documents["Service", ENGINE]["spec"]
    assert "clusterIP" not in service
    assert selects(service["selector"], documents["Deployment", ENGINE])
    (port,) = service["ports"]
    assert port["port"] == 8000


def test_front_ends_find_each_engine_by_its_name() -> None:
    documents = render(VALUES["pods"])
    urls = get_engine_urls(documents["Deployment", FRONT_END])
    assert urls == [f"http://{ENGINE}-{place}.{ENGINE}:8000" for place in range(3)]
    engines = documents["StatefulSet", ENGINE]["spec"]
    assert (engines["serviceName"], engines["replicas"]) == (ENGINE, 3)
    assert documents["Service", ENGINE]["spec"]["clusterIP"] == "None"


def test_engines_elsewhere_are_only_named() -> None:
    documents = render(VALUES["elsewhere"])
    assert get_engine_urls(documents["Deployment", FRONT_END]) == ["http://router:8000"]
    assert not any(name == ENGINE for _, name in documents)


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy"])
def test_what_is_of_one_tier_finds_no_pod_of_the_other(kind: str) -> None:
    documents = render(REMOTE)
    pods = {name: documents["Deployment", name] for name in (FRONT_END, ENGINE)}
    for name in pods:
        spec = documents[kind, name]["spec"]
        selector = spec["podSelector"] if kind == "NetworkPolicy" else spec["selector"]
        labels = selector.get("matchLabels", selector)
        assert {found for found, pod in pods.items() if selects(labels, pod)} == {name}


def test_only_front_ends_reach_engines() -> None:
    documents = render(VALUES["closed"])
    (rule,) = documents["NetworkPolicy", ENGINE]["spec"]["ingress"]
    (peer,) = rule["from"]
    assert selects(peer["podSelector"]["matchLabels"], documents["Deployment", FRONT_END])
    assert rule["ports"] == [{"port": "engine", "protocol": "TCP"}]
    leaves = documents["NetworkPolicy", FRONT_END]["spec"]["egress"]
    to_engines = [peer for rule in leaves for peer in rule.get("to", ())]
    assert selects(to_engines[0]["podSelector"]["matchLabels"], documents["Deployment", ENGINE])


def test_each_tier_grows_by_what_limits_it() -> None:
    documents = render(VALUES["hpa"])
    (front,) = documents["HorizontalPodAutoscaler", FRONT_END]["spec"]["metrics"]
    assert front["resource"]["name"] == "cpu"
    (engine,) = documents["HorizontalPodAutoscaler", ENGINE]["spec"]["metrics"]
    assert engine["external"]["metric"]["name"] == "thinking_load"
    assert engine["external"]["target"] == {"type": "Value", "value": "700m"}
    for name in (FRONT_END, ENGINE):
        assert "replicas" not in documents["Deployment", name]["spec"]


@pytest.mark.parametrize(
    ("metric", "sum_or_mean", "kind"),
    [
        ("thinking_load", "avg", "Value"),
        ("thinking_queue_length", "sum", "AverageValue"),
        ("thinking_admitted_requests", "sum", "AverageValue"),
    ],
)
def test_a_share_is_averaged_and_a_number_is_divided(
    metric: str, sum_or_mean: str, kind: str
) -> None:
    documents = render([*VALUES["keda"], f"engine.autoscaling.metric={metric}"])
    (trigger,) = documents["ScaledObject", ENGINE]["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    assert trigger["metricType"] == kind
    assert query == f'{sum_or_mean}({metric}{{namespace="default", service="{FRONT_END}"}})'
    assert trigger["metadata"]["threshold"] == "0.7"


@pytest.mark.parametrize("seconds", [1, 30, 3600])
def test_an_engine_is_given_more_time_than_its_drain(seconds: int) -> None:
    engine = render([*REMOTE, f"engine.drainSeconds={seconds}"])["Deployment", ENGINE]
    assert f"--shutdown-timeout={seconds}" in container_of(engine)["args"]
    grace = engine["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= seconds + 5 + 15


def test_an_engine_may_do_little() -> None:
    pod = render(REMOTE)["Deployment", ENGINE]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_gateway_example_routes_tokens_to_the_engines_of_its_values() -> None:
    values = EXAMPLES / "inference-values.yaml"
    result = helm("template", "thinking", str(CHART), "--values", str(values))
    assert result.returncode == 0, result.stderr
    rendered = [one for one in yaml.safe_load_all(result.stdout) if one]
    text = (EXAMPLES / "inference-gateway.yaml").read_text(encoding="utf-8")
    gateway, route, pool = yaml.safe_load_all(text)
    engines = [
        one
        for one in rendered
        if one["kind"] == "Deployment" and selects(pool["spec"]["selector"]["matchLabels"], one)
    ]
    (engine,) = engines
    (port,) = container_of(engine)["ports"]
    assert pool["spec"]["targetPorts"] == [{"number": port["containerPort"]}]
    to_pool, to_service = route["spec"]["rules"]
    (reference,) = to_pool["backendRefs"]
    assert reference["group"] == pool["apiVersion"].partition("/")[0]
    assert reference["kind"] == pool["kind"]
    assert reference["name"] == pool["metadata"]["name"]
    assert route["spec"]["parentRefs"] == [{"name": gateway["metadata"]["name"]}]
    (service,) = to_service["backendRefs"]
    services = {one["metadata"]["name"] for one in rendered if one["kind"] == "Service"}
    assert service["name"] in services
