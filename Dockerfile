# Two images: `make image-cpu` and `make image-cuda`. What `make setup` does on a machine,
# deploy/install.sh does here: there is one way to install, not two.
#
#   docker run --init --shm-size 1g -p 127.0.0.1:8000:8000 -e THINKING_SERVER_ALLOW_ANONYMOUS=true \
#       -v models:/models thinking-server:cpu
#   docker run --init --shm-size 8g -p 8000:8000 -v ./keys.toml:/keys.toml:ro \
#       -e THINKING_SERVER_KEYS_FILE=/keys.toml --gpus all -v models:/models thinking-server:cuda
#
# It listens on all of the container's addresses, so it starts only with keys, or told that it is
# meant to be open. Further arguments go to thinking-server; every option is also a variable
# THINKING_SERVER_…. The root file system may be read-only: only /models and /tmp are written to.

# A digest pins either further: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG VLLM_VERSION=0.32.0
ARG VLLM_IMAGE=vllm/vllm-openai:v${VLLM_VERSION}

FROM scratch AS source
COPY pyproject.toml README.md LICENSE /app/
COPY deploy/install.sh deploy/uv.sh deploy/healthcheck.py /app/deploy/
COPY deploy/requirements /app/deploy/requirements
COPY thinking /app/thinking
COPY thinker /app/thinker
COPY server /app/server
COPY clients /app/clients

FROM ${PYTHON_IMAGE} AS cpu-build
# A folder or page with a CPU build of torch, where PyTorch's own index can't be reached.
ARG PIP_FIND_LINKS=
# A file of certificates, of the base image or mounted, for an own certificate authority: uv's, pip's.
ARG SSL_CERT_FILE
ARG PIP_CERT
# Compiled here, since the server's user may not write there: without, each start compiles anew.
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /app
COPY --from=source /app /app
RUN DEVICE=cpu deploy/install.sh --no-dev && rm -rf .uv .cache /root/.cache

FROM ${PYTHON_IMAGE} AS cpu
LABEL org.opencontainers.image.title="thinking-server (CPU)" \
      org.opencontainers.image.description="Models that think before they answer, within a budget" \
      org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /models thinking \
    && install --directory --owner thinking /models
COPY --from=cpu-build /app /app
# Models and all other caches, of ours, of the hub's client and of vLLM, lie below this folder.
ENV PATH=/app/.venv/bin:$PATH HOME=/models XDG_CACHE_HOME=/models PYTHONUNBUFFERED=1
VOLUME /models
WORKDIR /models
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# A first start may fetch a large model; healthy ends this period at once.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30m CMD ["python3", "/app/deploy/healthcheck.py"]
ENTRYPOINT ["thinking-server", "--host", "0.0.0.0"]

# hadolint ignore=DL3006
FROM ${VLLM_IMAGE} AS cuda
LABEL org.opencontainers.image.title="thinking-server (CUDA)" \
      org.opencontainers.image.description="Models that think before they answer, within a budget" \
      org.opencontainers.image.licenses="Apache-2.0"
# As for the CPU image.
ARG SSL_CERT_FILE
ARG PIP_CERT
WORKDIR /app
COPY --from=source /app /app
# Compiled as there: vLLM's own packages too.
RUN UV_COMPILE_BYTECODE=1 DEVICE=preinstalled deploy/install.sh --no-dev && rm -rf .uv .cache /root/.cache \
    && useradd --uid 10001 --no-create-home --home-dir /models thinking \
    && install --directory --owner thinking /models
ENV HOME=/models XDG_CACHE_HOME=/models PYTHONUNBUFFERED=1
VOLUME /models
WORKDIR /models
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30m CMD ["python3", "/app/deploy/healthcheck.py"]
ENTRYPOINT ["thinking-server", "--host", "0.0.0.0"]
