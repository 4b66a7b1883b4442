# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The commit that `sendport --version` shows: --build-arg SENDPORT_COMMIT="$(git rev-parse --short HEAD)"
ARG SENDPORT_COMMIT="not known"
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    . deploy/profile.sh && \
    cargo build --release --locked && \
    install -D -m 755 target/release/sendport /out/sendport

FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates libssl3 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 10001 --user-group --home-dir /var/lib/sendport --shell /usr/sbin/nologin sendport && \
    install -d -o sendport -g sendport -m 750 /var/lib/sendport /var/lib/sendport/mails && \
    install -d /etc/sendport/templates
COPY --from=build /out/sendport /usr/bin/sendport
# With this configuration no email leaves the container: alerts become files in the volume.
COPY deploy/sendport.toml /etc/sendport/sendport.toml
USER 10001:10001
VOLUME /var/lib/sendport
EXPOSE 9587
# If this fails, a restart helps; it does not fail because the database is unavailable.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["sendport", "health", "--alive"]
ENTRYPOINT ["sendport"]
CMD ["run", "--migrate"]
