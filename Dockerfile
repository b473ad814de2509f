# Two images: `make image-cpu` and `make image-cuda`. What `make setup` does on a machine,
# deploy/install.sh does here: there is one way to install, not two.
#
#   docker run --init -p 8000:8000 -v models:/models thinking-server:cpu
#   docker run --init --gpus all --ipc host -p 8000:8000 -v models:/models thinking-server:cuda
#
# Further arguments go to thinking-server; every option is also a variable THINKING_SERVER_….

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG VLLM_VERSION=0.32.0

FROM scratch AS source
COPY pyproject.toml README.md LICENSE /app/
COPY deploy/install.sh deploy/uv.sh deploy/healthcheck.py /app/deploy/
COPY deploy/requirements /app/deploy/requirements
COPY thinking /app/thinking
COPY server /app/server
COPY clients /app/clients

FROM ${PYTHON_IMAGE} AS cpu-build
# A folder or page with a CPU build of torch, where PyTorch's own index can't be reached.
ARG PIP_FIND_LINKS=
# Compiled here, since the server's user may not write there: without, each start compiles anew.
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /app
COPY --from=source /app /app
RUN DEVICE=cpu deploy/install.sh --no-dev && rm -rf .uv .cache /root/.cache

FROM ${PYTHON_IMAGE} AS cpu
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home thinking \
    && install --directory --owner thinking /models
COPY --from=cpu-build /app /app
# Models and all other caches, of ours, of the hub's client and of vLLM, lie below this folder.
ENV PATH=/app/.venv/bin:$PATH XDG_CACHE_HOME=/models PYTHONUNBUFFERED=1
VOLUME /models
WORKDIR /models
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m CMD ["python3", "/app/deploy/healthcheck.py"]
ENTRYPOINT ["thinking-server", "--host", "0.0.0.0"]

FROM vllm/vllm-openai:v${VLLM_VERSION} AS cuda
WORKDIR /app
COPY --from=source /app /app
RUN DEVICE=preinstalled deploy/install.sh --no-dev && rm -rf .uv .cache /root/.cache \
    && useradd --uid 10001 --create-home thinking \
    && install --directory --owner thinking /models
ENV XDG_CACHE_HOME=/models PYTHONUNBUFFERED=1
VOLUME /models
WORKDIR /models
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m CMD ["python3", "/app/deploy/healthcheck.py"]
ENTRYPOINT ["thinking-server", "--host", "0.0.0.0"]
