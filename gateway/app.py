"""The gateway put together: services opened in order and closed in reverse, and the ASGI app that serves from them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from litestar import Litestar
from litestar.middleware import DefineMiddleware
from litestar.types import ASGIApp

from gateway.api.admin.operation import MOST_BODY, PREFIX
from gateway.api.admin.routes import admin_routes
from gateway.api.bare import bare_route
from gateway.api.bulk.batches import batch_routes
from gateway.api.bulk.files import file_routes
from gateway.api.bulk.lines import EmbeddingLines
from gateway.api.classify import classify_route
from gateway.api.cohere import cohere_routes
from gateway.api.crew import Crew
from gateway.api.embeddings import embeddings_route
from gateway.api.extract import extract_route
from gateway.api.failures import exception_handlers
from gateway.api.generation import generation_routes
from gateway.api.health import health_routes
from gateway.api.metrics import metrics_route
from gateway.api.models import model_routes
from gateway.api.openapi import openapi_route
from gateway.api.rerank import rerank_routes
from gateway.api.shell import Shell
from gateway.api.tei import tei_routes
from gateway.api.tei_info import info_route
from gateway.api.tei_labels import predict_route
from gateway.api.tei_tokens import tokens_route
from gateway.auth import KeyCheck, check_routes
from gateway.certificates import LOOK_INTERVAL as CERTIFICATES_INTERVAL
from gateway.certificates import CertificateFiles, Certificates
from gateway.db.session import Database
from gateway.engine_client import EngineClient
from gateway.observability import GatewayMetrics
from gateway.services.bulk.allowance import Allowances
from gateway.services.bulk.bench import Bench
from gateway.services.bulk.opened import open_bulk
from gateway.services.bulk.stores import open_storage
from gateway.services.opened import Services
from gateway.services.periodic import Periodic
from gateway.services.pools.directory import NodeDirectory
from gateway.services.pools.patience import Patience
from gateway.services.pools.pins import Pins
from gateway.services.quota.budgets import Budgets
from gateway.services.quota.memory_store import MemoryQuotaStore
from gateway.services.quota.outage import GuardedQuotaStore
from gateway.services.quota.redis_store import RedisQuotaStore
from gateway.services.quota.reserving import Quota
from gateway.services.register.sealing import Sealer
from gateway.services.snapshot.feed import SnapshotFeed
from gateway.services.standing import Standing
from gateway.services.upstreams.following import UpstreamPools, upstream_transport
from gateway.services.usage.recorder import UsageRecorder
from gateway.services.usage.retention import Retention
from gateway.services.usage.spool import Spool
from gateway.settings import GatewaySettings
from gateway.tracing import NO_TRACER, Tracer
from gateway.transport import AsyncioTransport


@asynccontextmanager
async def open_services(settings: GatewaySettings, tracer: Tracer = NO_TRACER) -> AsyncIterator[Services]:
    """Open everything a gateway needs; whatever was opened is closed in reverse, usage flushed last but the database.

    Raises DatabaseUnusable where the policies can not be read, SpoolUnusable where usage can not be kept,
    StorageUnusable where files can not, and RedisAddressInvalid.
    """
    async with AsyncExitStack() as stack:
        database = Database.open(settings.database_url)
        stack.push_async_callback(database.close)
        feed = await SnapshotFeed.open(database, settings.snapshot_interval)
        stack.push_async_callback(feed.close)
        spool = await open_spool(settings)
        usage = UsageRecorder.open(database, settings.usage_flush_interval, spool)
        stack.push_async_callback(usage.close)
        if settings.usage_retention is not None:
            retention = Retention.open(database, settings.usage_retention)
            stack.push_async_callback(retention.close)
        shown = CertificateFiles(certificate=settings.engine_cert, key=settings.engine_key, trusted=settings.engine_ca)
        certificates = Certificates.of_client(shown)
        renewing = Periodic(certificates.renew, CERTIFICATES_INTERVAL, "certificates")
        stack.push_async_callback(renewing.close)
        engines = EngineClient(AsyncioTransport(ssl_context=certificates.context), settings.engine_secret)
        stack.push_async_callback(engines.close)
        metrics = GatewayMetrics(settings.nodes)
        nodes = NodeDirectory(
            engines.for_service,
            settings.nodes,
            poll_interval=settings.poll_interval,
            patience=Patience.of(settings),
            request_timeout=settings.request_timeout,
            metrics=metrics,
        )
        upstreams = UpstreamPools(
            nodes,
            upstream_transport(settings.allowed_upstreams),
            Sealer(settings.secret_key) if settings.secret_key is not None else None,
            engine_pools=settings.nodes,
        )
        stack.push_async_callback(upstreams.transport.aclose)
        feed.tell(upstreams.follow)
        nodes.start()
        stack.push_async_callback(nodes.close)
        pins = Pins.open(nodes, feed)
        stack.push_async_callback(pins.close)
        shared = None
        if settings.redis_url is not None:
            redis = RedisQuotaStore.open(settings.redis_url, settings.quota_timeout)
            shared = GuardedQuotaStore(redis, settings.quota_outage, metrics)
            stack.push_async_callback(shared.close)
        store = shared or MemoryQuotaStore()
        budgets = Budgets.open(database, feed, store)
        stack.push_async_callback(budgets.close)
        quota = Quota(store, budgets)
        standing = Standing(feed, usage, nodes, shared)
        bench = Bench(
            database,
            open_storage(settings.files),
            EmbeddingLines(settings, nodes),
            quota,
            Allowances(),
            policies=lambda: feed.current,
            metrics=metrics,
            longest_line=settings.max_body_bytes,
            most_stored=settings.max_stored_bytes,
        )
        bulk = await stack.enter_async_context(open_bulk(bench))
        yield Services(
            settings, database, feed, quota, usage, nodes, engines, metrics, standing, upstreams, bulk, shared, tracer
        )


async def open_spool(settings: GatewaySettings) -> Spool:
    """The write-ahead file of usage. What lies in it is looked through first, which may take a second per GiB."""
    if settings.usage_spool is None:
        return Spool.temporary()
    return await asyncio.to_thread(Spool.open, settings.usage_spool, settings.usage_spool_limit)


def create_app(services: Services, crew: Crew | None = None) -> ASGIApp:
    """The public wires; `crew` where this process is one of several workers."""
    api = Litestar(
        [
            embeddings_route(services),
            *cohere_routes(services),
            *tei_routes(services),
            bare_route(services),
            tokens_route(services),
            predict_route(services),
            info_route(services),
            *rerank_routes(services),
            classify_route(services),
            extract_route(services),
            *generation_routes(services),
            *model_routes(),
            *file_routes(services),
            *batch_routes(services),
            *health_routes(services, crew),
            metrics_route(services, crew),
            openapi_route(),
        ],
        middleware=[DefineMiddleware(KeyCheck, feed=services.feed, note_use=services.usage.note_use)],
        exception_handlers=exception_handlers(services.metrics, services.settings.max_body_bytes),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    check_routes(api)
    return Shell(api, services)


def create_admin_api(services: Services) -> ASGIApp:
    """The operators' JSON API, with every route under its prefix; whoever mounts it strips nothing."""
    api = Litestar(
        admin_routes(services),
        path=PREFIX,
        exception_handlers=exception_handlers(services.metrics, MOST_BODY),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    return Shell(api, services)
