//! `flint url`: the HTTP addresses of functions and aliases.

use clap::ValueEnum;
use flint_api::function_url::{Cors, FunctionUrlConfig, FunctionUrlRequest, ListFunctionUrlsResponse};
use serde_json::Value;

use super::failure::{Exit, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Verbs of `flint url`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List the addresses of a function and its aliases.
    #[command(alias = "ls")]
    List {
        /// Function.
        name: String,
    },
    /// Give a function or alias an address.
    Create {
        /// Function, or NAME:ALIAS.
        #[arg(value_name = "NAME[:ALIAS]")]
        name: String,
        /// Who may call it: anybody, or callers that sign.
        #[arg(long)]
        auth: Auth,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change an address's settings; it stays the same address.
    Update {
        /// Function, or NAME:ALIAS.
        #[arg(value_name = "NAME[:ALIAS]")]
        name: String,
        /// Who may call it: anybody, or callers that sign.
        #[arg(long)]
        auth: Option<Auth>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show an address.
    Get {
        /// Function, or NAME:ALIAS.
        #[arg(value_name = "NAME[:ALIAS]")]
        name: String,
    },
    /// Take an address away.
    #[command(alias = "rm")]
    Delete {
        /// Function, or NAME:ALIAS.
        #[arg(value_name = "NAME[:ALIAS]")]
        name: String,
    },
}

/// What an address has beside its caller's proof.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// How answers travel: whole, or as the handler writes them.
    #[arg(long)]
    mode: Option<Mode>,
    /// Pages of this origin may read the answers, * for any; may be given several times.
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<String>,
}

/// Who may call an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Auth {
    /// Anybody.
    None,
    /// Callers that sign their requests.
    Iam,
}

/// How answers travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Whole.
    Buffered,
    /// As the handler writes them.
    Stream,
}

impl Auth {
    fn word(self) -> String {
        match self {
            Self::None => "NONE".to_owned(),
            Self::Iam => "AWS_IAM".to_owned(),
        }
    }
}

impl Mode {
    fn word(self) -> String {
        match self {
            Self::Buffered => "BUFFERED".to_owned(),
            Self::Stream => "RESPONSE_STREAM".to_owned(),
        }
    }
}

/// What is wanted of an address; what is `None` is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) auth: Option<Auth>,
    pub(crate) mode: Option<Mode>,
    pub(crate) origins: Vec<String>,
}

impl Wanted {
    fn of(auth: Option<Auth>, settings: Settings) -> Self {
        Self {
            auth,
            mode: settings.mode,
            origins: settings.origin,
        }
    }

    /// `url:` of flint.yaml: a word, or the members `auth`, `mode` and `origins`.
    pub(crate) fn parse(value: &Value) -> std::result::Result<Self, String> {
        let wrong = || "write none, iam, or {auth: none, mode: stream, origins: [\"https://…\"]}".to_owned();
        let word = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
        let auth = |value: &Value| Auth::from_str(&word(value)?, true).map_err(|_| wrong());
        let Some(members) = value.as_object() else {
            return Ok(Self {
                auth: Some(auth(value)?),
                ..Self::default()
            });
        };
        let mut wanted = Self::default();
        for (name, value) in members {
            match name.as_str() {
                "auth" => wanted.auth = Some(auth(value)?),
                "mode" => {
                    let mode = Mode::from_str(&word(value)?, true);
                    wanted.mode = Some(mode.map_err(|_| wrong())?);
                }
                "origins" => {
                    let list = value.as_array().ok_or_else(wrong)?;
                    wanted.origins = list.iter().map(word).collect::<std::result::Result<_, _>>()?;
                }
                _ => return Err(wrong()),
            }
        }
        // A new address has to say it, and a file is read before it is known whether there is one.
        if wanted.auth.is_none() {
            return Err(format!("who may call it? {}", wrong()));
        }
        Ok(wanted)
    }

    fn request(&self) -> FunctionUrlRequest {
        // Named origins may do all that callers may: what is finer is the API's.
        let any = || Some(vec!["*".to_owned()]);
        let cors = (!self.origins.is_empty()).then(|| Cors {
            allow_origins: Some(self.origins.clone()),
            allow_methods: any(),
            allow_headers: any(),
            ..Cors::default()
        });
        FunctionUrlRequest {
            auth_type: self.auth.map(Auth::word),
            cors,
            invoke_mode: self.mode.map(Mode::word),
        }
    }
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::List { name } => show(&list(server, &name)?, terminal)?,
        Verb::Create { name, auth, settings } => {
            let body = Wanted::of(Some(auth), settings).request();
            let _: FunctionUrlConfig = server.aws("POST", &path(&name), &body)?;
            show_one(server, &name, terminal)?;
        }
        Verb::Update { name, auth, settings } => {
            let body = Wanted::of(auth, settings).request();
            let _: FunctionUrlConfig = server.aws("PUT", &path(&name), &body)?;
            show_one(server, &name, terminal)?;
        }
        Verb::Get { name } => show_one(server, &name, terminal)?,
        Verb::Delete { name } => {
            terminal.confirm(Message::AskDeleteUrl.with("name", &name))?;
            let () = server.aws("DELETE", &path(&name), &())?;
            terminal.say(Message::UrlDeleted.with("name", &name));
        }
    }
    Ok(Exit::Good)
}

/// Makes the address of a function's alias what is wanted; returns it.
pub(crate) fn set(server: &Server, name: &str, wanted: &Wanted) -> Result<String> {
    let is: FunctionUrlConfig = match server.aws("GET", &path(name), &()) {
        Ok(is) => {
            let is: FunctionUrlConfig = is;
            let asked = wanted.request();
            let same = asked.auth_type.is_none_or(|auth| auth == is.auth_type)
                && asked.invoke_mode.is_none_or(|mode| Some(mode) == is.invoke_mode)
                && (asked.cors.is_none() || asked.cors == is.cors);
            if same {
                is
            } else {
                server.aws("PUT", &path(name), &wanted.request())?
            }
        }
        Err(failure) if failure.is_not_found() => server.aws("POST", &path(name), &wanted.request())?,
        Err(failure) => return Err(failure),
    };
    Ok(is.function_url)
}

fn list(server: &Server, name: &str) -> Result<Vec<FunctionUrlConfig>> {
    let mut all = Vec::new();
    let mut marker = String::new();
    loop {
        let route = format!("/2021-10-31/functions/{}/urls?MaxItems=50{marker}", encode(name));
        let page: ListFunctionUrlsResponse = server.aws("GET", &route, &())?;
        all.extend(page.function_url_configs);
        match page.next_marker {
            Some(next) => marker = format!("&Marker={}", encode(&next)),
            None => return Ok(all),
        }
    }
}

/// A qualifier goes into the query, where it may be any text.
fn path(name: &str) -> String {
    match name.rsplit_once(':') {
        Some((name, alias)) => format!(
            "/2021-10-31/functions/{}/url?Qualifier={}",
            encode(name),
            encode(alias)
        ),
        None => format!("/2021-10-31/functions/{}/url", encode(name)),
    }
}

fn show_one(server: &Server, name: &str, terminal: Terminal) -> Result<()> {
    let one: FunctionUrlConfig = server.aws("GET", &path(name), &())?;
    terminal.show(
        &one,
        || vec![one.function_url.clone()],
        || rows(std::slice::from_ref(&one)),
    )
}

fn show(all: &[FunctionUrlConfig], terminal: Terminal) -> Result<()> {
    let names = || all.iter().map(|is| is.function_url.clone()).collect();
    terminal.show(&all, names, || rows(all))
}

fn rows(all: &[FunctionUrlConfig]) -> Rows {
    let whose = |is: &FunctionUrlConfig| {
        let mut parts = is.function_arn.splitn(8, ':').skip(6);
        let (name, alias) = (parts.next().unwrap_or_default(), parts.next());
        alias.map_or_else(|| name.to_owned(), |alias| format!("{name}:{alias}"))
    };
    let row = |is: &FunctionUrlConfig| {
        let origins = is.cors.as_ref().and_then(|cors| cors.allow_origins.clone());
        vec![
            whose(is),
            is.auth_type.clone(),
            is.invoke_mode.clone().unwrap_or_default(),
            origins.unwrap_or_default().join(", "),
            is.function_url.clone(),
        ]
    };
    Rows {
        titles: vec!["FUNCTION", "AUTH", "MODE", "ORIGINS", "URL"],
        rows: all.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<Wanted, String> {
        Wanted::parse(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_project_says_it_in_a_word_or_in_members() {
        assert_eq!(parse("\"none\"").unwrap().auth, Some(Auth::None));
        let whole = parse(r#"{"auth": "iam", "mode": "stream", "origins": ["*"]}"#).unwrap();
        let request = whole.request();
        assert_eq!(request.auth_type.as_deref(), Some("AWS_IAM"));
        assert_eq!(request.invoke_mode.as_deref(), Some("RESPONSE_STREAM"));
        assert_eq!(request.cors.unwrap().allow_origins.unwrap(), ["*"]);
        for wrong in [
            "\"public\"",
            "1",
            "{}",
            r#"{"auth": "none", "mode": "x"}"#,
            r#"{"auth": "none", "more": 1}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
