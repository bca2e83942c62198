//! Tensors of an open file: what the header says of each, and views of the bytes. The only `unsafe`
//! of the crate that deals with memory mapping is here.

use std::{fmt, fs::File, io, ops::Range, sync::Arc};

use memmap2::Mmap;

use super::TensorType;

/// What the header says of a tensor, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// One to four dimensions, none zero; the first varies fastest: it is the length of a row.
    pub dims: Vec<u64>,
    /// The type of the elements.
    pub ty: TensorType,
    /// Where the data is, in bytes from the start of the file.
    pub(super) range: Range<usize>,
}

impl TensorInfo {
    /// Number of elements.
    pub fn n_elements(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Number of bytes in the file.
    pub fn n_bytes(&self) -> u64 {
        self.range.len() as u64
    }
}

/// The data of one tensor, straight from the file: no copy, no lifetime. Keeps the file mapped but
/// not the header in memory.
#[derive(Clone)]
pub struct TensorView {
    info: TensorInfo,
    storage: Arc<Storage>,
}

impl TensorView {
    pub(super) fn new(info: TensorInfo, storage: Arc<Storage>) -> Self {
        Self { info, storage }
    }

    /// The name, such as `blk.0.attn_q.weight`.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// One to four dimensions, none zero; the first varies fastest.
    pub fn dims(&self) -> &[u64] {
        &self.info.dims
    }

    /// The type of the elements.
    pub fn ty(&self) -> TensorType {
        self.info.ty
    }

    /// The data: `rows()` rows of `cols()` elements, little-endian, in whole blocks. It starts at a
    /// multiple of 8 bytes in memory, so a cast to a slice of numbers does not fail on alignment.
    pub fn bytes(&self) -> &[u8] {
        let file = self.storage.bytes();
        file.get(self.info.range.clone()).unwrap_or_default()
    }

    /// Elements in a row: the first dimension.
    pub fn cols(&self) -> usize {
        self.info.dims.first().map_or(0, |&cols| cols as usize)
    }

    /// Number of rows: the product of the other dimensions.
    pub fn rows(&self) -> usize {
        self.info.dims.iter().skip(1).product::<u64>() as usize
    }

    /// Tells the system that the pages with these bytes of the view are not needed for now, as after
    /// an upload to a GPU, so that they stop counting as memory of this process. The bytes stay
    /// valid: whoever touches them, or a neighbour on the same page, reads the file again. Does
    /// nothing for a file opened from memory.
    pub fn release_pages(&self, range: Range<usize>) {
        let Range { start, end } = self.info.range;
        let from = start.saturating_add(range.start).min(end);
        let to = start.saturating_add(range.end).min(end);
        if from < to {
            self.storage.release(from..to);
        }
    }
}

impl fmt::Debug for TensorView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.fmt(f)
    }
}

/// The bytes of the file, at an address that is a multiple of 8.
pub(super) enum Storage {
    Mapped(Mmap),
    /// The bytes padded to whole words, and their number.
    Memory(Vec<u64>, usize),
}

impl Storage {
    pub(super) fn map(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only and shared with the file. Bytes could change under it only if
        // another program rewrote the file in place, which `Gguf::open` asks callers to prevent; all
        // that is trusted was checked on values copied out of the map.
        unsafe { Mmap::map(file) }.map(Storage::Mapped)
    }

    pub(super) fn copy(bytes: &[u8]) -> Self {
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Storage::Memory(words, bytes.len())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Storage::Mapped(map) => map,
            Storage::Memory(words, len) => {
                let padded: &[u8] = bytemuck::cast_slice(words);
                padded.get(..*len).unwrap_or_default()
            }
        }
    }

    #[cfg(unix)]
    fn release(&self, range: Range<usize>) {
        let Storage::Mapped(map) = self else { return };
        // SAFETY: the map is read-only, shared and backed by the file, so dropped pages come back
        // from the file with the same bytes when they are touched; slices of them stay valid.
        let released = unsafe {
            map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
        };
        if let Err(error) = released {
            log::debug!("the system did not release mapped pages: {error}");
        }
    }

    #[cfg(not(unix))]
    fn release(&self, _range: Range<usize>) {}
}
