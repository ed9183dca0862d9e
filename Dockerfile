# Any base with python3 (3.11 or newer) and its venv module will do.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements-build.lock requirements.lock ./
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements-build.lock
RUN python3 -m venv /opt/lenalidomide-cds \
    && /opt/lenalidomide-cds/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml LICENSE NOTICE ./
COPY cds cds
COPY hooks hooks
COPY fhir_fixtures fhir_fixtures
# pip goes at the end: the image serves, it installs nothing.
RUN /opt/build/bin/hatchling build -t wheel -d /dist \
    && /opt/lenalidomide-cds/bin/pip install --no-deps --no-index /dist/*.whl \
    && /opt/lenalidomide-cds/bin/pip uninstall --yes setuptools pip

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="lenalidomide-cds" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/lenalidomide-cds/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    CDS_DATA=/var/lib/lenalidomide-cds
COPY --from=build /opt/lenalidomide-cds /opt/lenalidomide-cds
RUN install -d -o 10001 -g 10001 /var/lib/lenalidomide-cds
WORKDIR /var/lib/lenalidomide-cds
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["lenalidomide-cds"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
