//! `flint deploy` of a Python project of 1 MiB until the new version has answered a call: the command is started anew each
//! time, as a developer starts it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};
use flint_testkit::Server;

use crate::load::Loaded;
use crate::report::{Goal, Report};
use crate::target::Binaries;

/// Flags of the deploy verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Deployments that are counted.
    #[arg(long, default_value_t = 12)]
    count: usize,
}

const SIZE: usize = 1 << 20;

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let server = crate::warm::server(binaries)?;
    let lambda = server.lambda()?;
    let project = tempfile::tempdir()?;
    std::fs::write(
        project.path().join("flint.yaml"),
        "name: deploy\nruntime: python3.11\nhandler: app.handler\n",
    )?;
    write_ballast(project.path())?;
    let (mut whole, mut command, mut call) = (Loaded::empty()?, Loaded::empty()?, Loaded::empty()?);
    for round in 0..=args.count {
        let text = format!("def handler(event, context):\n    return {round}\n");
        std::fs::write(project.path().join("app.py"), text)?;
        let begun = Instant::now();
        deploy(&binaries.flint, &server, project.path())?;
        let deployed = begun.elapsed();
        let answer = lambda.request(
            "POST",
            "/2015-03-31/functions/deploy/invocations?Qualifier=live",
            &[],
            b"{}",
        )?;
        let took = begun.elapsed();
        if answer.body != round.to_string().as_bytes() {
            bail!(
                "round {round} was answered by {}",
                String::from_utf8_lossy(&answer.body)
            );
        }
        // The first one creates the function and is not counted.
        if round > 0 {
            whole.record(took);
            command.record(deployed);
            call.record(took.saturating_sub(deployed));
        }
    }
    let bare = bare_command(&binaries.flint)?;
    let ms = |loaded: &Loaded, share| loaded.quantile_us(share) / 1e3;
    report.add("deploy-python", ms(&whole, 0.5), "ms", None, Goal::AtMost(500.0));
    report.add("deploy-python-p99", ms(&whole, 0.99), "ms", None, Goal::None);
    report.add(
        "deploy-python-command",
        ms(&command, 0.5),
        "ms",
        Some(ms(&bare, 0.5)),
        Goal::None,
    );
    report.add("deploy-python-first-call", ms(&call, 0.5), "ms", None, Goal::None);
    report.note("baseline of the command: flint --version");
    Ok(())
}

fn deploy(flint: &Path, server: &Server, project: &Path) -> Result<()> {
    let mut command = Command::new(flint);
    command
        .arg("deploy")
        .arg(project)
        .arg("--data-dir")
        .arg(server.data_dir());
    command
        .args(["--endpoint", &format!("http://{}", server.address())])
        .stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() {
        bail!(
            "deploy: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// The command line's own start.
fn bare_command(flint: &Path) -> Result<Loaded> {
    let mut loaded = Loaded::empty()?;
    for _ in 0..10 {
        let begun = Instant::now();
        Command::new(flint)
            .arg("--version")
            .stdout(Stdio::null())
            .status()?;
        loaded.record(begun.elapsed());
    }
    Ok(loaded)
}

/// Modules that together have 1 MiB and do not compress.
fn write_ballast(folder: &Path) -> Result<()> {
    for number in 0..16 {
        let mut bytes = vec![0; SIZE / 16 / 4 * 3];
        getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
        std::fs::write(
            folder.join(format!("module_{number}.py")),
            format!("DATA = '{text}'\n"),
        )?;
    }
    Ok(())
}
