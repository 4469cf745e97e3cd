"""`shoal gateway`: the API and the console; engine nodes run elsewhere."""

from contextlib import closing
from dataclasses import replace

from gateway.db import schema
from gateway.settings import GatewaySettings
from shoal import process
from shoal.data_folder import DataFolder
from shoal.gateway_process import check_workers, serve_gateway
from shoal.logs import configure_logs
from shoal.options.gateway import GatewayOptions
from shoal.options.groups import with_groups
from shoal.options.nodes import NodeOptions
from shoal.options.tls import TlsCert, TlsKey


@with_groups
def gateway(*, nodes: NodeOptions, options: GatewayOptions, tls_cert: TlsCert = None, tls_key: TlsKey = None) -> None:
    """Serve the API and the console. Run `shoal migrate` first, and `shoal engine` wherever models shall run.

    Without --node it serves the models of upstreams alone (shoal upstream add).
    """
    configure_logs(options.observation.logs)
    folder, shown = DataFolder.at(options.data_dir), nodes.certificates
    settings = replace(
        options.settings(folder),
        nodes=nodes.pools,
        engine_secret=nodes.engine_secret,
        engine_ca=shown.trusted,
        engine_cert=shown.certificate,
        engine_key=shown.key,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    check_workers(options.workers, settings)
    process.run(_gateway(options, settings, folder.session_key(options.session_key)))


async def _gateway(options: GatewayOptions, settings: GatewaySettings, session_key: bytes) -> None:
    with closing(process.listen(options.host, options.port)) as sock:
        await schema.check(settings.database_url)
        stop = process.StopSignal()
        print(f"Serving on {process.address(sock, settings.tls_cert)}. Stop with Ctrl-C.", flush=True)
        await serve_gateway(
            settings, sock, stop, session_key=session_key, workers=options.workers, observation=options.observation
        )
