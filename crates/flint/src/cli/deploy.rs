//! `flint deploy`: from a folder or zip to a function that answers.
//!
//! Guarantees: what did not change is not sent; a version that could not be made ready never gets the alias. Packing twice
//! gives the same bytes, so a second deploy of the same files says that nothing changed.

mod apply;
mod change;
mod complete;
mod detect;
mod events;
mod handler;
mod ignore;
mod kafka;
mod package;
pub(crate) mod project;
mod report;
mod resource;
mod trigger;

pub(crate) use apply::{pause, wait};
pub(crate) use change::environment;
pub(crate) use package::{bytes, of as package_of, stays_inside};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flint_api::function::FunctionConfiguration;
use sha2::{Digest, Sha256};

use super::failure::{Exit, Failure, Result};
use super::language::Message;
use super::pair;
use super::server::{Server, encode};
use super::terminal::Terminal;
use package::Package;
use project::Project;

/// Flags of `flint deploy`; each overrides flint.yaml.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Project folder, or a zip that is deployed as it is.
    #[arg(value_name = "FOLDER|ZIP", default_value = ".")]
    place: PathBuf,
    /// Name of the function; the folder's name when nobody says.
    #[arg(long, env = "FLINT_DEPLOY_NAME")]
    name: Option<String>,
    /// Container image to deploy, as NAME[:TAG]; `flint image import` and `pull` bring them.
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["runtime", "handler"])]
    image: Option<String>,
    /// Runtime identifier, such as python3.11; detected when left out.
    #[arg(long)]
    runtime: Option<String>,
    /// Handler, such as app.handler; detected when left out.
    #[arg(long)]
    handler: Option<String>,
    /// Memory in MB.
    #[arg(long, value_name = "MB", value_parser = project::memory)]
    memory: Option<i64>,
    /// Time-out in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = project::timeout)]
    timeout: Option<i64>,
    /// Environment variable; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// How it takes its work: event, web or static.
    #[arg(long, value_parser = project::mode)]
    mode: Option<String>,
    /// Of a static site: the file that pages without a file get, such as index.html.
    #[arg(long, value_name = "FILE")]
    fallback: Option<String>,
    /// Network: none, egress or host; default for the server's own choice.
    #[arg(long, value_parser = project::network)]
    network: Option<String>,
    /// Description of the version.
    #[arg(short, long, env = "FLINT_DEPLOY_MESSAGE")]
    message: Option<String>,
    /// The alias that is moved to the new version.
    #[arg(long, env = "FLINT_DEPLOY_ALIAS")]
    alias: Option<String>,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Change $LATEST only: no version, no alias.
    #[arg(long)]
    no_publish: bool,
}

/// What `flint site deploy` says; everything else is nothing to a site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) place: PathBuf,
    pub(crate) name: Option<String>,
    pub(crate) fallback: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) alias: Option<String>,
    pub(crate) dry_run: bool,
}

impl From<Site> for Args {
    fn from(site: Site) -> Self {
        Self {
            place: site.place,
            name: site.name,
            fallback: site.fallback,
            message: site.message,
            alias: site.alias,
            dry_run: site.dry_run,
            mode: Some("static".to_owned()),
            image: None,
            runtime: None,
            handler: None,
            memory: None,
            timeout: None,
            env: Vec::new(),
            network: None,
            no_publish: false,
        }
    }
}

/// What is to be there afterwards.
#[derive(Debug)]
pub(crate) struct Wanted {
    name: String,
    alias: String,
    message: Option<String>,
    project: Project,
    code: Code,
    /// As the server shows it: base64 of a zip's, hexadecimal of an image's.
    sha256: String,
}

/// What is deployed.
#[derive(Debug)]
pub(crate) enum Code {
    /// A zip.
    Package(Package),
    /// An image that the server has, by its name.
    Image(String),
}

pub(crate) fn run(args: Args, server: &Server, terminal: Terminal) -> Result<Exit> {
    let (dry_run, publish) = (args.dry_run, !args.no_publish);
    let (mut project, folder) = read_project(&args)?;
    // Before anything is guessed: a site has no runtime to be found out.
    project.mode = args.mode.clone().or(project.mode);
    project.fallback = args.fallback.clone().or(project.fallback);
    build(&project, &folder, terminal)?;
    let image = args.image.clone().or(project.image.take());
    let (code, sha256) = match image {
        Some(image) => of_image(server, image)?,
        None => of_package(pack(&args.place, &project, &folder, terminal)?),
    };
    let name = args
        .name
        .clone()
        .or(project.name.take())
        .unwrap_or_else(|| name_of(&args.place));
    let current = apply::current(server, &name)?;
    override_by_flags(&mut project, &args, current.as_ref())?;
    match (&current, &code) {
        (_, Code::Image(_)) => {}
        (None, Code::Package(package)) => complete::complete(&mut project, package, server, &args.place)?,
        (Some(current), Code::Package(package)) => complete::switch(&mut project, package, server, current),
    }
    if let Code::Package(package) = &code {
        handler::check(&project, current.as_ref(), package)?;
    }
    resource::complete(&mut project, server)?;
    let alias = args
        .alias
        .or(project.alias.take())
        .unwrap_or_else(|| "live".to_owned());
    let wanted = Wanted {
        name,
        alias,
        message: args.message,
        project,
        code,
        sha256,
    };
    let changes = change::between(current.as_ref(), &wanted);
    let mode = wanted.project.mode.as_deref();
    let mode = mode.or(current.as_ref().and_then(|is| is.flint_mode.as_deref()));
    let mode = mode.unwrap_or("event").to_owned();
    let mut report = report::Report::new(&wanted, current.is_some(), changes, server.endpoint(), &mode);
    if dry_run {
        report.dry_run = true;
        return report.show(terminal).map(|()| Exit::Good);
    }
    apply::function(server, terminal, current.as_ref(), &wanted, &report.changes)?;
    if publish {
        let version = apply::publish(server, terminal, &wanted)?;
        let before = apply::alias(server, &wanted.name, &wanted.alias, &version)?;
        if let Some(url) = &wanted.project.url {
            let name = format!("{}:{}", wanted.name, wanted.alias);
            report.function_url = Some(super::url::set(server, &name, url)?);
        }
        if let Some(triggers) = &wanted.project.triggers {
            let changed = trigger::apply(server, &wanted.name, &wanted.alias, triggers)?;
            (report.routes, report.triggers) = (changed.routes, changed.triggers);
        }
        if let Some(events) = &wanted.project.events {
            report.events = events::apply(server, &wanted.name, &wanted.alias, events)?;
        }
        report.published(version, wanted.alias, before);
    }
    report.show(terminal)?;
    Ok(Exit::Good)
}

/// An image is looked up first: what its name stands for tells whether anything changes.
fn of_image(server: &Server, name: String) -> Result<(Code, String)> {
    let digest = super::image::show(server, &name)?.digest;
    Ok((Code::Image(name), digest.trim_start_matches("sha256:").to_owned()))
}

fn of_package(package: Package) -> (Code, String) {
    let sha256 = STANDARD.encode(Sha256::digest(&package.zip));
    (Code::Package(package), sha256)
}

/// The project, and the folder that its paths start from.
fn read_project(args: &Args) -> Result<(Project, PathBuf)> {
    let unreadable = |error: std::io::Error| {
        let sentence = Message::CannotRead
            .with("path", args.place.display())
            .with("reason", error);
        Failure::new(flint_model::Code::Project, sentence)
    };
    let place = std::fs::canonicalize(&args.place).map_err(unreadable)?;
    if place.is_dir() {
        return Ok((Project::load(&place)?.unwrap_or_default(), place));
    }
    Ok((
        Project::default(),
        place.parent().map(Path::to_owned).unwrap_or_default(),
    ))
}

/// Runs the project's build command. What it prints is progress, so it goes to standard error.
fn build(project: &Project, folder: &Path, terminal: Terminal) -> Result<()> {
    use std::os::fd::AsFd;
    let Some(command) = &project.build else {
        return Ok(());
    };
    terminal.say(Message::Building.with("command", command.trim()));
    let errors = std::io::stderr().as_fd().try_clone_to_owned()?;
    let status = std::process::Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .stdout(errors)
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        flint_model::Code::Project,
        Message::BuildFailed.with("status", status),
    ))
}

fn pack(place: &Path, project: &Project, folder: &Path, terminal: Terminal) -> Result<Package> {
    let source = match &project.package {
        Some(path) => folder.join(path),
        None if place.is_dir() => folder.to_owned(),
        None => place.to_owned(),
    };
    let package = package_of(&source)?;
    let size = package::bytes(package.zip.len() as u64);
    terminal.say(Message::Packed.with("files", package.files).with("size", size));
    Ok(package)
}

fn name_of(place: &Path) -> String {
    let place = std::fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
    let stem = if place.is_dir() {
        place.file_name()
    } else {
        place.file_stem()
    };
    stem.map_or_else(
        || "function".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

fn override_by_flags(
    project: &mut Project,
    args: &Args,
    current: Option<&FunctionConfiguration>,
) -> Result<()> {
    let replace = |slot: &mut Option<String>, flag: &Option<String>| {
        if flag.is_some() {
            slot.clone_from(flag);
        }
    };
    replace(&mut project.runtime, &args.runtime);
    replace(&mut project.handler, &args.handler);
    replace(&mut project.network, &args.network);
    project.memory = args.memory.or(project.memory);
    project.timeout = args.timeout.or(project.timeout);
    if args.env.is_empty() {
        return Ok(());
    }
    // Variables of the command line are added to those of the file, or to those that are there.
    let base = project
        .environment
        .take()
        .or_else(|| current.map(change::environment));
    let mut environment: BTreeMap<String, String> = base.unwrap_or_default();
    for text in &args.env {
        let (name, value) = pair(text)?;
        environment.insert(name, value);
    }
    project.environment = Some(environment);
    Ok(())
}

/// Path of a function in the AWS-shaped API.
pub(crate) fn path(name: &str, rest: &str) -> String {
    format!("/2015-03-31/functions/{}{rest}", encode(name))
}
