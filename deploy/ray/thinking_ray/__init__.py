"""thinking-server as a Ray Serve application: deploy/ray/serve.yaml, docs/ray.md."""
