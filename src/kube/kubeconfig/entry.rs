//! A cluster, a user or a context of a kubeconfig: its fields, and what is wrong with them.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::fault::{Fault, shown};
use super::files::Inputs;
use super::yaml::{Node, Value};
use crate::util::BoundedFile;

/// The largest file with a certificate, a key or a token, in bytes.
const MAX_FILE: usize = 1024 * 1024;

/// The fields of one entry.
pub(super) struct Entry<'a> {
    /// The kubeconfig that it is in.
    pub(super) file: &'a Path,
    /// The bits of that file's mode.
    pub(super) mode: u32,
    /// The place in it, such as `users[1].user`.
    pub(super) path: String,
    /// The line of the place.
    pub(super) line: usize,
    /// None where there is nothing.
    pub(super) node: Option<&'a Node>,
}

/// A value that was given in the kubeconfig itself or in a file of its own.
pub(super) struct Material {
    /// The field that gave it.
    pub(super) field: String,
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// The file that it lies in, and the bits of its mode.
    pub(super) file: PathBuf,
    pub(super) mode: u32,
}

impl<'a> Entry<'a> {
    /// A field that is there.
    pub(super) fn get(&self, field: &str) -> Option<&'a Node> {
        self.node?.get(field)
    }

    /// A text that is there and not empty; None, and a fault, for anything but a text.
    pub(super) fn text(&self, field: &str, inputs: &mut Inputs) -> Option<&'a str> {
        match &self.get(field)?.value {
            Value::Scalar(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
            _ => {
                let fault = self.fault(field, "is not a text", "write one text there");
                inputs.faults.push(fault);
                None
            }
        }
    }

    /// A switch that is on; None, and a fault, for anything but `true` and `false`.
    pub(super) fn is_on(&self, field: &str, inputs: &mut Inputs) -> bool {
        match self.text(field, inputs) {
            None | Some("false" | "False" | "FALSE") => false,
            Some("true" | "True" | "TRUE") => true,
            Some(_) => {
                let fault = self.fault(field, "is neither true nor false", "write true or false");
                inputs.faults.push(fault);
                false
            }
        }
    }

    /// The content that the field `…-data` gives in base64, or the field itself in a file
    /// that it names, relative to the kubeconfig's folder.
    pub(super) fn material(&self, field: &str, inputs: &mut Inputs) -> Option<Material> {
        let data_field = format!("{field}-data");
        let file = self.text(field, inputs);
        let Some(data) = self.text(&data_field, inputs) else {
            return self.file(field, file?, inputs);
        };
        if file.is_some() {
            let problem = format!("is there, and so is {field}");
            let fault = self.fault(&data_field, &problem, "keep one of them");
            inputs.faults.push(fault);
            return None;
        }
        let joined: Zeroizing<String> = Zeroizing::new(data.split_whitespace().collect());
        match STANDARD.decode(joined.as_bytes()) {
            Ok(bytes) => Some(Material {
                field: data_field,
                bytes: Zeroizing::new(bytes),
                file: self.file.to_owned(),
                mode: self.mode,
            }),
            Err(_) => {
                let cure = "write the file in base64, as kubectl config view --flatten --raw \
                            prints it";
                let fault = self.fault(&data_field, "is not base64", cure);
                inputs.faults.push(fault);
                None
            }
        }
    }

    /// The content of the file that a field names.
    fn file(&self, field: &str, named: &str, inputs: &mut Inputs) -> Option<Material> {
        let path = self.resolve(named);
        match inputs.read(&path, MAX_FILE) {
            Ok(BoundedFile { bytes, mode }) => Some(Material {
                field: field.to_owned(),
                bytes,
                file: path,
                mode,
            }),
            Err(problem) => {
                let problem = format!("names {}, which {problem}", shown(&path));
                let cure = "put the file there and let the program's user read it; a relative \
                            path begins in the folder of the kubeconfig";
                inputs.faults.push(self.fault(field, &problem, cure));
                None
            }
        }
    }

    /// The path that a field names.
    pub(super) fn resolve(&self, named: &str) -> PathBuf {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        folder.join(named)
    }

    /// A fault of one of the fields, whether it is there or not.
    pub(super) fn fault(&self, field: &str, problem: &str, cure: &'static str) -> Fault {
        let line = self.get(field).map_or(self.line, |node| node.line);
        let path = format!("{}.{field}", self.path);
        Fault::of_field(self.file, &path, line, problem, cure)
    }
}
