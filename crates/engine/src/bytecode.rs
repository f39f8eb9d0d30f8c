//! Has Python versions compiled in the background: at publish, and again where a start finds nothing. Starts do with the
//! sources meanwhile.
//!
//! Guarantees: one tree at a time, off every path; what fails costs nothing but the time that it would have saved. A version
//! that was compiled before is shown with its bytecode from its first start on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use flint_model::{CodeRef, Version};
use flint_runtime::bytecode::{self, Shown};
use flint_runtime::{Interpreter, LaunchSpec, Served};
use flint_store::{Bytecode, Error as StoreError, Packages};

use crate::Engine;

/// Sources of less than this compile in less than a millisecond: not worth a process, nor a tree.
const WORTH_IT: u64 = 8 << 10;

/// The package, or the layers, of a version.
#[derive(Debug, Clone)]
struct Tree {
    packages: Packages,
    shown: Shown,
    place: &'static str,
    maker: String,
}

impl Tree {
    fn find(&self) -> Result<Bytecode, StoreError> {
        self.packages
            .with_bytecode(&self.shown.source, self.place, &self.maker)
    }
}

impl Engine {
    /// Has a version compiled that was made ready a moment ago.
    pub(crate) fn compile_ahead(&self, served: &Served, version: &Version, manifest: String) {
        let code = CodeRef {
            manifest,
            ..version.code.clone()
        };
        let layers = version.config.layer_code.clone();
        let (engine, interpreter) = (self.clone(), Arc::clone(&served.interpreter));
        tokio::spawn(async move {
            let packages = engine.inner.parts.store.packages().clone();
            let maker = bytecode::maker(&interpreter);
            let trees = tokio::task::spawn_blocking(move || {
                let package = packages.verified_tree(&code)?;
                let opt = packages.layers_tree(&layers)?;
                Ok::<_, StoreError>(worth_it(&packages, maker, &code, Some(package), &layers, opt))
            });
            if let Ok(Ok(trees)) = trees.await {
                for tree in trees {
                    engine.compile(&interpreter, tree).await;
                }
            }
        });
    }

    /// Shows a version with its bytecode: at once where that was made before, else from when it is.
    pub(crate) async fn use_bytecode(&self, spec: &Arc<LaunchSpec>, code: &CodeRef, layers: &[CodeRef]) {
        let Some(served) = spec.served.as_ref().filter(|_| spec.image.is_none()) else {
            return;
        };
        let interpreter = Arc::clone(&served.interpreter);
        let Some(maker) = bytecode::maker(&interpreter) else {
            return;
        };
        let packages = self.inner.parts.store.packages().clone();
        let opt = spec.binds.iter().find(|bind| bind.target == Path::new("/opt"));
        let opt = opt.map(|bind| bind.source.clone());
        let (task, code, layers) = (spec.package.clone(), code.clone(), layers.to_vec());
        let found = tokio::task::spawn_blocking(move || {
            let trees = worth_it(&packages, Some(maker), &code, Some(task), &layers, opt);
            trees
                .into_iter()
                .map(|tree| (tree.find(), tree))
                .collect::<Vec<_>>()
        });
        for (found, tree) in found.await.unwrap_or_default() {
            match found {
                Ok(Bytecode::Tree(path)) => show(spec, &tree, path),
                Ok(Bytecode::Nothing) => {}
                Ok(Bytecode::NotYet) => {
                    let (engine, spec, interpreter) =
                        (self.clone(), Arc::clone(spec), Arc::clone(&interpreter));
                    tokio::spawn(async move {
                        if let Some(path) = engine.compile(&interpreter, tree.clone()).await {
                            show(&spec, &tree, path);
                        }
                    });
                }
                Err(error) => tracing::warn!(%error, "the bytecode cannot be shown; starts compile"),
            }
        }
    }

    /// Compiles a tree unless that was done meanwhile; returns the tree to show instead.
    async fn compile(&self, interpreter: &Interpreter, tree: Tree) -> Option<PathBuf> {
        let _turn = self.inner.compiling.lock().await;
        let found = find(&tree).await?;
        if found != Bytecode::NotYet {
            return path_of(found);
        }
        if self.is_stopping() {
            return None;
        }
        let compiled = bytecode::compile(&self.inner.parts.launcher, interpreter, &tree.shown).await;
        let files = match compiled {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(%error, "a package could not be compiled; its starts take longer");
                return None;
            }
        };
        let count = files.len();
        let keeping = tree.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let Tree {
                packages,
                shown,
                place,
                maker,
            } = keeping;
            packages.keep_bytecode(&shown.source, place, &maker, &files)
        });
        if let Err(error) = kept.await.ok()? {
            tracing::warn!(%error, "the bytecode of a package is not kept; its starts take longer");
            return None;
        }
        tracing::debug!(tree = %tree.shown.source.display(), count, "compiled");
        path_of(find(&tree).await?)
    }
}

/// The trees of a version that have enough of Python in them.
fn worth_it(
    packages: &Packages,
    maker: Option<String>,
    code: &CodeRef,
    task: Option<PathBuf>,
    layers: &[CodeRef],
    opt: Option<PathBuf>,
) -> Vec<Tree> {
    let Some(maker) = maker else { return Vec::new() };
    let in_layers = layers
        .iter()
        .map(|layer| packages.python_bytes(&layer.sha256))
        .sum();
    let trees = [
        (task, "/var/task", "task", packages.python_bytes(&code.sha256)),
        (opt, "/opt", "opt", in_layers),
    ];
    let worth = trees.into_iter().filter(|(.., bytes)| *bytes >= WORTH_IT);
    let tree = |(source, target, place, _): (Option<PathBuf>, &str, _, _)| {
        Some(Tree {
            packages: packages.clone(),
            shown: Shown {
                source: source?,
                target: target.into(),
            },
            place,
            maker: maker.clone(),
        })
    };
    worth.filter_map(tree).collect()
}

async fn find(tree: &Tree) -> Option<Bytecode> {
    let tree = tree.clone();
    let found = tokio::task::spawn_blocking(move || tree.find()).await.ok()?;
    found
        .inspect_err(|error| tracing::warn!(%error, "the bytecode cannot be shown; starts compile"))
        .ok()
}

fn path_of(found: Bytecode) -> Option<PathBuf> {
    match found {
        Bytecode::Tree(path) => Some(path),
        Bytecode::Nothing | Bytecode::NotYet => None,
    }
}

/// From here on starts see this tree.
fn show(spec: &LaunchSpec, tree: &Tree, path: PathBuf) {
    let slot: &OnceLock<PathBuf> = match tree.place {
        "opt" => &spec.compiled_layers,
        _ => &spec.compiled,
    };
    let _ = slot.set(path);
}
