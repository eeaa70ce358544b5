//! The files of a kubeconfig, and those that it names: read within limits, with all that
//! is wrong with them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::fault::{Fault, Subject, shown};
use super::yaml::{self, Node, Value};
use crate::util::{BoundedFile, FileError};

/// The largest kubeconfig, in bytes: hundreds of clusters with their certificates.
const MAX_FILE: usize = 1024 * 1024;

/// The most files that are merged.
const MAX_FILES: usize = 16;

/// `S_IWOTH`
pub(super) const EVERYBODY_WRITES: u32 = 0o002;

/// `S_IRGRP` and `S_IROTH`
const OTHERS_READ: u32 = 0o044;

const READABLE: &str = "give the path of a file that the program's user may read";

/// A file that was read.
pub(super) struct Document {
    pub(super) file: PathBuf,
    /// The bits of its mode.
    pub(super) mode: u32,
    pub(super) root: Rc<Node>,
}

/// The files that were read until now, and the faults and warnings on the way.
#[derive(Default)]
pub(super) struct Inputs {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<String>,
    hash: Sha256,
}

impl Inputs {
    /// Reads these files as kubectl does: where there are several, those that are not there
    /// are left out.
    pub(super) fn documents(&mut self, files: &[PathBuf]) -> Vec<Document> {
        if files.len() > MAX_FILES {
            self.faults.push(Fault {
                subject: Subject::Files,
                problem: format!("names more than {MAX_FILES} files"),
                cure: "merge them by: kubectl config view --flatten --raw",
            });
            return Vec::new();
        }
        if files.is_empty() {
            self.faults.push(Fault {
                subject: Subject::Files,
                problem: "names no file".to_owned(),
                cure: "give the path of a kubeconfig, such as ~/.kube/config, or leave it unset",
            });
        }
        let is_there = |file: &&PathBuf| !is_missing(file);
        let present: Vec<&PathBuf> = match files.iter().any(|file| is_there(&file)) {
            true => files.iter().filter(is_there).collect(),
            false => files.iter().collect(),
        };
        for file in files.iter().filter(|file| !present.contains(file)) {
            let left_out = format!("{} is not there, and left out", shown(file));
            self.warnings.push(left_out);
        }
        present
            .into_iter()
            .filter_map(|file| self.document(file))
            .collect()
    }

    fn document(&mut self, file: &Path) -> Option<Document> {
        let BoundedFile { bytes, mode } = match self.read(file, MAX_FILE) {
            Ok(read) => read,
            Err(fault) => return self.refuse(file, &fault.to_string(), READABLE),
        };
        let Ok(text) = str::from_utf8(&bytes) else {
            return self.refuse(file, "is not UTF-8", "write it in UTF-8");
        };
        let root = match yaml::parse(text) {
            Ok(root) => root,
            Err(fault) => {
                let cure = "write it as kubectl config view --flatten --raw prints it";
                return self.refuse(file, &fault.to_string(), cure);
            }
        };
        let is = |key: &str, wanted: &str| match root.get(key).map(|node| &node.value) {
            None => true,
            Some(Value::Scalar(text)) => text.as_str() == wanted,
            Some(_) => false,
        };
        let is_map = matches!(root.value, Value::Map(_) | Value::Null);
        if !is_map || !is("kind", "Config") || !is("apiVersion", "v1") {
            let cure = "name a file with kind: Config and apiVersion: v1, such as ~/.kube/config";
            return self.refuse(file, "is no kubeconfig", cure);
        }
        Some(Document {
            file: file.to_owned(),
            mode,
            root,
        })
    }

    /// Notes a fault of a file as a whole.
    fn refuse<T>(&mut self, file: &Path, problem: &str, cure: &'static str) -> Option<T> {
        self.faults.push(Fault::of_file(file, problem, cure));
        None
    }

    /// Reads a file that a field or the environment names.
    ///
    /// # Errors
    /// It is not there, too large, or not safe from others.
    pub(super) fn read(&mut self, file: &Path, limit: usize) -> Result<BoundedFile, BadFile> {
        let read = BoundedFile::read(file, limit).map_err(BadFile::Unread)?;
        if read.mode & EVERYBODY_WRITES != 0 {
            return Err(BadFile::Writable(read.mode));
        }
        self.hash.update(&*read.bytes);
        Ok(read)
    }

    /// Warns of a file with a secret in it that others on this machine can read.
    pub(super) fn holds_secret(&mut self, file: &Path, mode: u32) {
        if mode & OTHERS_READ != 0 {
            let warning = format!(
                "{} holds a key or a token, and others on this machine can read it (mode \
                 {mode:04o}): chmod 600 it",
                shown(file)
            );
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// A digest of all that was read, by which a change is noticed.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }
}

/// The reason why a file is not taken. `Display` is the rest of a sentence that begins
/// with the file.
#[derive(Debug, Error)]
pub(super) enum BadFile {
    #[error("{}", .0.problem())]
    Unread(FileError),
    #[error("everybody can write to (mode {0:04o}): chmod o-w it")]
    Writable(u32),
}

fn is_missing(file: &Path) -> bool {
    std::fs::metadata(file).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}
