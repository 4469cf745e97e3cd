"""Options of logs and traces."""

from typing import Annotated

import typer

from gateway.settings import AccessLog
from shoal.logs import LogFormat, LogLevel, LogSettings
from shoal.observation import Observation
from shoal.options.values import checked_endpoint, parse_headers
from shoal.tracing.settings import TracingSettings

LogFormatOption = Annotated[
    LogFormat,
    typer.Option("--log-format", envvar="SHOAL_LOG_FORMAT", help="How logs are written; auto: text on a terminal."),
]
LogLevelOption = Annotated[
    LogLevel, typer.Option("--log-level", envvar="SHOAL_LOG_LEVEL", help="The least that is logged.")
]
AccessLogOption = Annotated[
    AccessLog,
    typer.Option(
        "--access-log",
        envvar="SHOAL_ACCESS_LOG",
        help="Which requests are logged; problems: those that failed, and slow ones.",
    ),
]
OtlpEndpoint = Annotated[
    str | None,
    typer.Option(
        "--otlp-endpoint",
        envvar="SHOAL_OTLP_ENDPOINT",
        callback=checked_endpoint,
        metavar="URL",
        help="An OpenTelemetry collector for traces, OTLP over HTTP: http://collector:4318. Without it, none are kept.",
    ),
]
OtlpHeaders = Annotated[
    str | None,
    typer.Option(
        "--otlp-headers",
        envvar="SHOAL_OTLP_HEADERS",
        metavar="NAME=VALUE,…",
        help="Sent to it with all traces, as a credential may have to be; values percent-encoded.",
    ),
]
TraceShare = Annotated[
    float,
    typer.Option(
        "--trace-share",
        envvar="SHOAL_TRACE_SHARE",
        min=0.0,
        max=1.0,
        help="Of all requests, for which a trace is kept; callers that trace may have a few more.",
    ),
]


def observation_of(
    log_format: LogFormat,
    log_level: LogLevel,
    endpoint: str | None,
    headers: str | None,
    *,
    share: float = 1.0,
    access_log: AccessLog = "problems",
) -> Observation:
    """What options say about logs and traces together. Raises BadParameter for headers that are none."""
    logs = LogSettings(log_format, log_level, every_request=access_log == "all")
    if endpoint is None:
        return Observation(logs=logs)
    return Observation(
        logs=logs, tracing=TracingSettings(endpoint=endpoint, headers=parse_headers(headers or ""), share=share)
    )
