//! The management API alone over HTTP, for its conformance tests: no authentication, no invocations, and versions become
//! ready as soon as their packages are unpacked.
//!
//! `management_server DATA_DIR ADDRESS ACCOUNT REGION`

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use flint_admin::{Admin, BODY_LIMIT, Caller, Config};
use flint_model::version::{LastUpdate, State};
use flint_model::{AccountId, FunctionId, Version};
use flint_store::{Settled, Store};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, data, address, account, region] = arguments.as_slice() else {
        anyhow::bail!("usage: management_server DATA_DIR ADDRESS ACCOUNT REGION");
    };
    let address: SocketAddr = address.parse().context("ADDRESS")?;
    let tenant = AccountId::parse(account).context("ACCOUNT has twelve digits")?;
    let store = Store::open(&flint_store::Config::new(data))?;
    tokio::spawn(settle_all(store.clone()));
    let config = Config::new(region, account, &format!("http://{address}"));
    let admin = Arc::new(Admin::new(config, store, None));
    let listener = tokio::net::TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (admin, caller) = (
            Arc::clone(&admin),
            Caller {
                tenant: tenant.clone(),
            },
        );
        tokio::spawn(async move {
            let service = service_fn(move |request| serve(Arc::clone(&admin), caller.clone(), request));
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            builder.serve_connection(TokioIo::new(stream), service).await
        });
    }
}

async fn serve(
    admin: Arc<Admin>,
    caller: Caller,
    request: http::Request<Incoming>,
) -> anyhow::Result<flint_admin::Response> {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/readyz" {
        return Ok(http::Response::default());
    }
    if let Some(response) = admin.handle_signed_link(&parts).await {
        return Ok(response);
    }
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(admin.handle(&caller, parts, body.to_bytes()).await),
        Err(_) => Ok(admin.refuse_too_large(&parts)),
    }
}

/// Follows the store and settles what waits.
async fn settle_all(store: Store) -> anyhow::Result<()> {
    let mut announced = store.watch_changes();
    let mut seen = 0;
    loop {
        let (upto, changed) = store.changes_since(seen).await?;
        seen = upto;
        for (tenant, id) in changed {
            let row = store.load_function(tenant.clone(), id.clone()).await?;
            for version in row.into_iter().flat_map(|row| row.versions) {
                if version.state == State::Pending || version.last_update == LastUpdate::InProgress {
                    settle(&store, &tenant, &id, version).await?;
                }
            }
        }
        announced.changed().await?;
    }
}

async fn settle(store: &Store, tenant: &AccountId, id: &FunctionId, version: Version) -> anyhow::Result<()> {
    let packages = store.packages().clone();
    let sha256 = version.code.sha256.clone();
    let settled = match tokio::task::spawn_blocking(move || packages.unpack(&sha256)).await? {
        Ok(manifest) => Settled::Ready(manifest),
        Err(error) => Settled::Failed(error.to_string()),
    };
    store
        .settle_version(
            tenant.clone(),
            id.clone(),
            version.number,
            version.revision,
            settled,
        )
        .await?;
    Ok(())
}
