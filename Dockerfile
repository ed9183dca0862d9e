# Any base with python3 (3.11 or newer) and its venv module will do.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
# The time of the commit, in seconds since 1970: the same sources then give the same files.
ARG SOURCE_DATE_EPOCH
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements-image.lock requirements.lock ./
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements-image.lock
# Without pip: the image serves, it installs nothing.
RUN python3 -m venv --without-pip /opt/lenalidomide-cds \
    && /opt/build/bin/pip --python /opt/lenalidomide-cds/bin/python install --no-compile --require-hashes -r requirements.lock
COPY pyproject.toml LICENSE NOTICE ./
COPY cds cds
COPY hooks hooks
COPY fhir_fixtures fhir_fixtures
COPY scripts/write_sbom.py scripts/write_sbom.py
RUN /opt/build/bin/hatchling build -t wheel -d /dist \
    && /opt/build/bin/pip --python /opt/lenalidomide-cds/bin/python install --no-compile --no-deps --no-index /dist/*.whl \
    && /opt/build/bin/python scripts/write_sbom.py /opt/lenalidomide-cds/bin/python /opt/lenalidomide-cds/sbom.cdx.json \
    # Bytecode that names no times and is not compared with its source; none of fhir.resources, which `lint` alone reads.
    && /opt/lenalidomide-cds/bin/python -m compileall -q -x /fhir/ --invalidation-mode unchecked-hash /opt/lenalidomide-cds/lib \
    && mkdir -p /data

# Nothing is run from here on: a base without a shell will do as well, if its python3 is the one above.
FROM ${PYTHON_IMAGE}
COPY --from=build /opt/lenalidomide-cds /opt/lenalidomide-cds
# The one place that is written; everything else may be read-only, /tmp too.
COPY --from=build --chown=10001:10001 /data /var/lib/lenalidomide-cds
# PYTHONSAFEPATH: nothing that lies in the folder of data is ever imported.
ENV PATH=/opt/lenalidomide-cds/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 \
    CDS_DATA=/var/lib/lenalidomide-cds
WORKDIR /var/lib/lenalidomide-cds
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-IS", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8080, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["lenalidomide-cds"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lenalidomide-cds" \
      org.opencontainers.image.description="A CDS Hooks service that judges lenalidomide maintenance orders" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
