//! Everything that can be wrong with a GGUF file, one variant each. Names from the file are shown
//! escaped, since a hostile file may hold control characters.

use super::TensorType;

const DAMAGED: &str = "the file is damaged or incomplete: download it again";

/// Why a file was refused, or why a metadata value is not what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The first four bytes are not `GGUF`.
    #[error(
        "it starts with {:?} instead of \"GGUF\"; choose a .gguf model file \
         (a failed download often leaves a web page or a Git LFS pointer)",
        String::from_utf8_lossy(found)
    )]
    NotGguf {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The file was written for big-endian machines.
    #[error("it is a big-endian GGUF file; convert the model again as little-endian")]
    BigEndian,
    /// A version other than 2 and 3.
    #[error("GGUF version {version} is not supported, only 2 and 3 are; convert the model again")]
    UnsupportedVersion {
        /// The version in the file.
        version: u32,
    },
    /// The file ends inside a record, or a length in it is a lie.
    #[error("{what} at byte {offset} takes {needed} bytes and {available} are left; {DAMAGED}")]
    Truncated {
        /// The record that was being read.
        what: String,
        /// Where in the file.
        offset: u64,
        /// Bytes it needs.
        needed: u64,
        /// Bytes left in the file.
        available: u64,
    },
    /// A count that the rest of the file has no room for.
    #[error("{what} claims {count} entries and the rest of the file holds {most} at most; {DAMAGED}")]
    CountTooLarge {
        /// What is counted.
        what: String,
        /// The count in the file.
        count: u64,
        /// The most entries that the bytes left could hold.
        most: u64,
    },
    /// The header would need more memory than any real model's.
    #[error("the header needs over {limit} bytes of memory, more than any real model; {DAMAGED}")]
    HeaderTooLarge {
        /// Bytes of memory that a header may take.
        limit: usize,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8 text; {DAMAGED}")]
    NotUtf8 {
        /// The key, name or value.
        what: String,
    },
    /// A key or a name of no bytes.
    #[error("{what} is empty; {DAMAGED}")]
    EmptyName {
        /// The key or name.
        what: String,
    },
    /// A key or a name longer than the format allows.
    #[error("{what} is {len} bytes long and the format allows {most}; {DAMAGED}")]
    NameTooLong {
        /// The key or name.
        what: String,
        /// Its length in bytes.
        len: usize,
        /// The most bytes allowed.
        most: usize,
    },
    /// The same metadata key twice.
    #[error("the metadata key {key:?} is there twice; convert the model again")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The same tensor name twice.
    #[error("the tensor {tensor:?} is there twice; convert the model again")]
    DuplicateTensor {
        /// The tensor's name.
        tensor: String,
    },
    /// A metadata type that the format does not know.
    #[error("{what} has the unknown metadata type {id}; {DAMAGED}")]
    UnknownValueType {
        /// The metadata value.
        what: String,
        /// The type in the file.
        id: u32,
    },
    /// A boolean that is neither 0 nor 1.
    #[error("{what} is a boolean of value {found}, not 0 or 1; {DAMAGED}")]
    BadBool {
        /// The metadata value.
        what: String,
        /// The byte in the file.
        found: u8,
    },
    /// Arrays in arrays beyond what any real file holds.
    #[error("{what} nests arrays more than {most} deep; {DAMAGED}")]
    NestedTooDeep {
        /// The metadata value.
        what: String,
        /// The deepest nesting allowed.
        most: usize,
    },
    /// `general.alignment` is not a power of two of at least 8.
    #[error("general.alignment is {alignment}, not a power of two from 8 up; convert the model again")]
    BadAlignment {
        /// The alignment in the file.
        alignment: u64,
    },
    /// A tensor without dimensions or with more than four.
    #[error("the tensor {tensor:?} has {count} dimensions instead of 1 to 4; {DAMAGED}")]
    DimensionCount {
        /// The tensor's name.
        tensor: String,
        /// Its number of dimensions in the file.
        count: u32,
    },
    /// A tensor with a dimension of zero.
    #[error("the tensor {tensor:?} has a zero dimension: {dims:?}; {DAMAGED}")]
    ZeroDimension {
        /// The tensor's name.
        tensor: String,
        /// Its dimensions.
        dims: Vec<u64>,
    },
    /// A tensor with more elements than this machine can count.
    #[error("the tensor {tensor:?} with dimensions {dims:?} is too large to count; {DAMAGED}")]
    SizeOverflow {
        /// The tensor's name.
        tensor: String,
        /// Its dimensions.
        dims: Vec<u64>,
    },
    /// A tensor type that is not known.
    #[error(
        "the tensor {tensor:?} has the unknown type {id}; \
         use a file in a common format such as Q4_0, Q8_0 or F16"
    )]
    UnknownTensorType {
        /// The tensor's name.
        tensor: String,
        /// The type in the file.
        id: u32,
    },
    /// Rows that end inside a block of a quantised type.
    #[error(
        "the tensor {tensor:?} has rows of {cols} elements, not whole {ty} blocks of {block}; \
         convert the model again"
    )]
    PartialBlock {
        /// The tensor's name.
        tensor: String,
        /// Elements in a row.
        cols: u64,
        /// The tensor's type.
        ty: TensorType,
        /// Elements in a block of the type.
        block: u64,
    },
    /// A tensor that does not start at a multiple of the alignment.
    #[error(
        "the tensor {tensor:?} starts at {offset}, not a multiple of {alignment}; \
         convert the model again"
    )]
    Unaligned {
        /// The tensor's name.
        tensor: String,
        /// Its offset in the data section.
        offset: u64,
        /// The alignment of the file.
        alignment: u64,
    },
    /// A tensor that reaches past the end of the file.
    #[error(
        "the tensor {tensor:?} takes {bytes} bytes at {offset} of the data section, \
         past the end of the file at {data_len}; {DAMAGED}"
    )]
    OutsideFile {
        /// The tensor's name.
        tensor: String,
        /// Its offset in the data section.
        offset: u64,
        /// Bytes it takes.
        bytes: u64,
        /// Bytes of the data section that are there.
        data_len: u64,
    },
    /// Two tensors that share bytes.
    #[error("the tensors {first:?} and {second:?} overlap; {DAMAGED}")]
    Overlap {
        /// The tensor that starts first.
        first: String,
        /// The one that starts before the first ends.
        second: String,
    },
    /// A metadata value of another type than the one asked for.
    #[error("the metadata key {key:?} holds {found}, not {expected}; convert the model again")]
    WrongType {
        /// The key.
        key: String,
        /// What was asked for.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A metadata integer that does not fit the type asked for.
    #[error("the metadata key {key:?} holds {value}, which is no {expected}; convert the model again")]
    OutOfRange {
        /// The key.
        key: String,
        /// The type asked for.
        expected: &'static str,
        /// The value in the file.
        value: i128,
    },
}
