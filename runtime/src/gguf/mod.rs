//! The GGUF model file: maps it, checks every count, length, offset and type in its header, and
//! hands out metadata and zero-copy tensor views. What opens can be trusted: every view lies inside
//! the file, at its alignment, in whole blocks, and shares no byte with another.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3.

mod error;
mod metadata;
mod parse;
mod reader;
mod tensor;

use std::{fmt, fs::File, path::Path, sync::Arc};

pub use error::GgufError;
pub use gguf_rs_lib::format::metadata::MetadataArray;
pub use gguf_rs_lib::format::types::GGUFValueType as ValueType;
pub use gguf_rs_lib::prelude::{GGUFTensorType as TensorType, MetadataValue};
pub use tensor::{TensorInfo, TensorView};

use crate::error::{Error, Result};
use parse::Header;
use tensor::Storage;

/// An open GGUF file. Clones share the file.
#[derive(Clone)]
pub struct Gguf {
    header: Arc<Header>,
    storage: Arc<Storage>,
}

impl Gguf {
    /// Maps the file at `path` and checks its header; tensor data is read when a view is touched.
    ///
    /// The file must not be cut or rewritten in place while it is open.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened or mapped, [`Error::Gguf`] if it cannot be trusted.
    pub fn open(path: impl AsRef<Path>) -> Result<Gguf> {
        let path = path.as_ref();
        let storage = File::open(path)
            .and_then(|file| Storage::map(&file))
            .map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Gguf::new(storage)
    }

    /// Opens a file that is in memory already; its bytes are copied once, to align them.
    ///
    /// # Errors
    /// [`Error::Gguf`] if the file cannot be trusted.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Gguf> {
        Gguf::new(Storage::copy(&bytes))
    }

    fn new(storage: Storage) -> Result<Gguf> {
        Ok(Gguf { header: Arc::new(Header::parse(storage.bytes())?), storage: Arc::new(storage) })
    }

    /// The version of the format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.header.version
    }

    /// The length of the file in bytes.
    pub fn file_len(&self) -> u64 {
        self.storage.bytes().len() as u64
    }

    /// All metadata, in file order.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &MetadataValue)> {
        let entries = self.header.metadata.iter();
        entries.map(|(key, value)| (key.as_str(), value))
    }

    /// All tensors, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.header.tensors
    }

    /// The tensor called `name`, if the file has it.
    pub fn tensor(&self, name: &str) -> Option<TensorView> {
        let info = self.header.tensor(name)?;
        Some(TensorView::new(info.clone(), Arc::clone(&self.storage)))
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gguf")
            .field("version", &self.version())
            .field("file_len", &self.file_len())
            .field("metadata", &self.header.metadata.len())
            .field("tensors", &self.tensors().len())
            .finish()
    }
}
