//! The floor of a warm call: hyper, a framed socket, the same bootstrap. No proof of identity, no logs, no metrics, no
//! sandbox, one thread.
//!
//! `flint-floor-framed LANGUAGE BOOTSTRAPS TASK INSTANCES` prints the address it listens on.

#[path = "../src/framed.rs"]
mod framed;

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::Write;
use std::rc::Rc;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use flint_runtime::frame::{self, Kind};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::Semaphore;

use crate::framed::{Bare, Slot};

/// A runtime that waits for a call.
struct Instance {
    socket: UnixStream,
    input: BytesMut,
    stream: u32,
}

struct Pool {
    idle: RefCell<Vec<Instance>>,
    free: Semaphore,
}

impl Instance {
    async fn call(&mut self, payload: &[u8]) -> Result<Bytes> {
        self.stream += 1;
        self.socket.write_all(&Bare::invoke(self.stream, payload)).await?;
        loop {
            while let Some(frame) = frame::take(&mut self.input)? {
                if frame.kind == Some(Kind::Data) && frame.ends() {
                    return Ok(frame.body);
                }
            }
            self.input.reserve(4096);
            if self.socket.read_buf(&mut self.input).await? == 0 {
                anyhow::bail!("a runtime ended");
            }
        }
    }
}

async fn answer(pool: Rc<Pool>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let payload = request.into_body().collect().await?.to_bytes();
    let permit = pool.free.acquire().await?;
    let mut instance = pool.idle.borrow_mut().pop().context("no instance")?;
    let answer = instance.call(&payload).await;
    pool.idle.borrow_mut().push(instance);
    drop(permit);
    Ok(Response::new(Full::new(answer?)))
}

async fn serve(instances: Vec<std::os::unix::net::UnixStream>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let count = instances.len();
    let mut idle = Vec::with_capacity(count);
    for socket in instances {
        socket.set_nonblocking(true)?;
        idle.push(Instance {
            socket: UnixStream::from_std(socket)?,
            input: BytesMut::new(),
            stream: 0,
        });
    }
    let pool = Rc::new(Pool {
        idle: RefCell::new(idle),
        free: Semaphore::new(count),
    });
    writeln!(std::io::stdout(), "listens on http://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let pool = Rc::clone(&pool);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let pool = Rc::clone(&pool);
                async move {
                    let answer = answer(pool, request).await;
                    Ok::<_, Infallible>(answer.unwrap_or_else(|error| {
                        let mut failed = Response::new(Full::new(error.to_string().into()));
                        *failed.status_mut() = hyper::StatusCode::BAD_GATEWAY;
                        failed
                    }))
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn main() -> Result<()> {
    let mut slot = Slot::reserve()?;
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("LANGUAGE BOOTSTRAPS TASK INSTANCES");
    let bare = Bare {
        language: next()?,
        bootstraps: next()?.into(),
        task: next()?.into(),
    };
    let count: usize = next()?.parse()?;
    let mut children = Vec::with_capacity(count);
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let (child, socket) = bare.start(&mut slot)?;
        children.push(child);
        sockets.push(socket);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // The runtimes end when their sockets close, and those close with this process.
    runtime.block_on(tokio::task::LocalSet::new().run_until(serve(sockets)))
}
