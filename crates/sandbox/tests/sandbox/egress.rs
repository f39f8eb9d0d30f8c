//! What a sandbox with an outbound network reaches, and what it does not.
//!
//! Needs root, `ip` (package iproute2) and `nft` (package nftables).

use std::process::{Command, Stdio};

use flint_sandbox::EgressConfig;
use flint_sandbox::spec::{Limits, Network};

use crate::scene::{Output, Scene, class, exec, limits};

const ALLOWED: &str = "10.231.1.2";
const DENIED: &str = "10.231.1.77";
const METADATA: &str = "169.254.169.254";
const PORT: u16 = 8099;

/// A network behind a router: a namespace with a server that listens on three addresses. Removed when dropped.
struct Outside(std::process::Child);

fn ip(line: &str) {
    let status = Command::new("ip")
        .args(line.split(' '))
        .status()
        .expect("install iproute2");
    assert!(status.success(), "ip {line}");
}

impl Outside {
    fn new() -> Self {
        Self::clean();
        ip("netns add flinttest");
        ip("link add flinttest0 type veth peer name eth0 netns flinttest");
        ip("addr add 10.231.1.1/24 dev flinttest0");
        ip("link set flinttest0 up");
        ip("-n flinttest link set lo up");
        for address in ["10.231.1.2/24", "10.231.1.77/32", "169.254.169.254/32"] {
            ip(&format!("-n flinttest addr add {address} dev eth0"));
        }
        ip("-n flinttest link set eth0 up");
        ip("-n flinttest route add default via 10.231.1.1");
        ip("route add 169.254.169.254/32 via 10.231.1.2 dev flinttest0");
        let server = format!(
            "import socket\ns = socket.socket()\ns.bind(('', {PORT}))\ns.listen(256)\nprint('up', flush=True)\nkept = []\n\
             while True: kept.append(s.accept())"
        );
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", "flinttest", "/usr/bin/python3", "-c", &server])
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut up = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
        Self(child)
    }

    fn clean() {
        for line in ["netns del flinttest", "link del flinttest0"] {
            drop(
                Command::new("ip")
                    .args(line.split(' '))
                    .stderr(Stdio::null())
                    .status(),
            );
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
        Self::clean();
    }
}

/// Runs a program with network egress; its output.
async fn out(scene: &Scene, python: &str) -> String {
    let mut class = class();
    class.network = Network::Egress;
    let parked = scene.launcher.prepare(class).await.unwrap();
    let (output, stdio) = Output::new();
    let mut claim = scene.claim(exec(&["/usr/bin/python3", "-c", python]));
    claim.limits = Limits {
        cpu_millis: 2000,
        ..limits()
    };
    let sandbox = scene.launcher.claim(parked, claim, stdio).await.unwrap();
    tokio::time::timeout(crate::scene::SOON, sandbox.exited())
        .await
        .unwrap();
    sandbox.destroy().await.unwrap();
    output.text().await
}

/// Tries each address and prints a letter: y for connected, n for not.
fn tries(addresses: &[(&str, u16)]) -> String {
    format!(
        "import socket\nfor to in {addresses:?}:\n  try: socket.create_connection(to, 1); print('y', end='')\n  except OSError: print('n', end='')"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn egress_reaches_the_outside_and_nothing_it_should_not() {
    assert!(
        Command::new("nft").arg("--version").output().is_ok(),
        "install the package nftables"
    );
    let _outside = Outside::new();
    let scene = Scene::with(|config| {
        let denied = vec![format!("{DENIED}/32")];
        config.egress = Some(EgressConfig {
            subnet: "10.231.8.0/24".into(),
            denied,
            connections: 20,
        });
    });
    let host = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let host_port = host.local_addr().unwrap().port();
    let targets = [
        (ALLOWED, PORT),
        (DENIED, PORT),
        (METADATA, PORT),
        ("10.231.1.1", host_port),
        ("10.231.8.1", host_port),
    ];
    assert_eq!(
        out(&scene, &tries(&targets)).await,
        "ynnnn",
        "allowed, denied, metadata, host, host as gateway"
    );

    // Another instance, which listens on its own address.
    let mut other = class();
    other.network = Network::Egress;
    let parked = scene.launcher.prepare(other).await.unwrap();
    let (output, stdio) = Output::new();
    let listen = "import socket\ns = socket.socket()\ns.bind(('', 8099))\ns.listen()\nu = socket.socket(2, 2)\nu.connect(('10.231.1.2', 9))\nprint(u.getsockname()[0], flush=True)\nimport os; os.close(1); os.close(2)\nwhile True: s.accept()";
    let program = exec(&["/usr/bin/python3", "-c", listen]);
    let neighbour = scene
        .launcher
        .claim(parked, scene.claim(program), stdio)
        .await
        .unwrap();
    let address = output.text().await.trim().to_owned();
    assert!(address.starts_with("10.231.8."), "{address}");
    assert_eq!(
        out(&scene, &tries(&[(&address, PORT), (ALLOWED, PORT)])).await,
        "ny",
        "another instance"
    );

    let many = "import socket\nkept = []\nfor _ in range(40):\n  try: kept.append(socket.create_connection(('10.231.1.2', 8099), 1))\n  except OSError: break\nprint(len(kept))";
    assert_eq!(out(&scene, many).await, "20\n", "connections at once");

    // The negative control: without the rules, all of it is reached.
    let table = format!("flint_{}", scene.config.tag);
    assert!(
        Command::new("nft")
            .args(["delete", "table", "inet", &table])
            .status()
            .unwrap()
            .success()
    );
    let mut open = targets.to_vec();
    open.push((&address, PORT));
    assert_eq!(
        out(&scene, &tries(&open)).await,
        "yyyyyy",
        "the rules are what held it"
    );
    drop(neighbour);
}

#[tokio::test(flavor = "multi_thread")]
async fn egress_is_refused_where_it_is_not_configured() {
    let scene = Scene::new();
    let mut class = class();
    class.network = Network::Egress;
    let error = scene.launcher.prepare(class).await.unwrap_err();
    assert!(error.to_string().contains("egress"), "{error}");
}
