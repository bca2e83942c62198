//! Files that lie. Each kind of lie has its own error, no file makes the loader panic, none makes it
//! reserve more memory than its own size explains, and what opens can be read to the last byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod counting_allocator;
mod lies;
mod mutation;

use std::io::Write;

use halfbyte::Error;
use halfbyte::gguf::{Gguf, GgufError, MetadataValue, TensorType};
use halfbyte_tests::gguf_writer::{GgufWriter, array, string, tensor_type, value_type};

use counting_allocator::{CountingAllocator, peak_during};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Opens a file; fails the test if that took over 64 times the file's size and 1 MiB more: a byte of
/// the file becomes a metadata value of 24 bytes at worst, nested arrays and growth double that.
fn open(file: Vec<u8>) -> Result<Gguf, GgufError> {
    let bound = 64 * file.len() as isize + (1 << 20);
    let (peak, opened) = peak_during(|| Gguf::from_bytes(file));
    assert!(peak <= bound, "opening took {peak} bytes, over {bound}");
    opened.map_err(|error| match error {
        Error::Gguf(error) => error,
        other => panic!("not an error about the file: {other}"),
    })
}

/// A sound file with all that the format has: strings, nested arrays, tensors of five types.
fn sound() -> GgufWriter {
    let nested = [array(value_type::U8, 3, &[1, 2, 3]), array(value_type::STRING, 1, &string("deep"))];
    GgufWriter::new()
        .str("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .u64("llama.context_length", 2048)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .bool("tokenizer.ggml.add_bos_token", true)
        .strs("tokenizer.ggml.tokens", &["<s>", "hello", "", "wörld"])
        .f32s("tokenizer.ggml.scores", &[0.0, -1.0, -2.5])
        .i32s("tokenizer.ggml.token_type", &[3, 1, -1])
        .raw("nested", value_type::ARRAY, array(value_type::ARRAY, 2, &nested.concat()))
        .tensor("f32", &[5, 2], tensor_type::F32, vec![1; 40])
        .tensor("f16", &[7], tensor_type::F16, vec![2; 14])
        .tensor("q4_0", &[64, 3], tensor_type::Q4_0, vec![3; 108])
        .tensor("q4_1", &[32, 2, 2], tensor_type::Q4_1, vec![4; 80])
        .tensor("q8_0", &[32, 1, 2, 1], tensor_type::Q8_0, vec![5; 68])
}

#[test]
fn a_sound_file_gives_back_what_was_written() {
    for version in [2, 3] {
        let gguf = open(sound().version(version).build()).unwrap();
        assert_eq!(gguf.version(), version);
        assert_eq!(gguf.get_str("general.architecture").unwrap(), Some("llama"));
        assert_eq!(gguf.get_u32("llama.context_length").unwrap(), Some(2048));
        assert_eq!(gguf.get_u64("llama.block_count").unwrap(), Some(2));
        let eps = gguf.get_f32("llama.attention.layer_norm_rms_epsilon");
        assert_eq!(eps.unwrap(), Some(1e-5));
        assert_eq!(gguf.get_bool("tokenizer.ggml.add_bos_token").unwrap(), Some(true));
        assert_eq!(gguf.get_strs("tokenizer.ggml.tokens").unwrap(), Some(vec!["<s>", "hello", "", "wörld"]));
        assert_eq!(gguf.get_f32s("tokenizer.ggml.scores").unwrap(), Some(vec![0.0, -1.0, -2.5]));
        assert_eq!(gguf.get_i32s("tokenizer.ggml.token_type").unwrap(), Some(vec![3, 1, -1]));
        assert_eq!(gguf.get_str("absent").unwrap(), None);
        let keys: Vec<_> = gguf.metadata().map(|(key, _)| key).collect();
        assert_eq!((keys.len(), keys[1], keys[8]), (9, "llama.block_count", "nested"));

        let types: Vec<_> = gguf.tensors().iter().map(|t| (t.ty, t.n_elements())).collect();
        use TensorType::{F16, F32, Q4_0, Q4_1, Q8_0};
        assert_eq!(types, [(F32, 10), (F16, 7), (Q4_0, 192), (Q4_1, 128), (Q8_0, 64)]);
        let view = gguf.tensor("q4_1").unwrap();
        assert_eq!((view.cols(), view.rows(), view.bytes()), (32, 4, &[4u8; 80][..]));
        assert!(gguf.tensor("absent").is_none());
    }
}

/// Not made by the writer of these tests: every byte by hand from the format's description.
#[test]
fn a_file_spelled_out_byte_by_byte_opens() {
    #[rustfmt::skip]
    let mut file = [
        b"GGUF", &[2, 0, 0, 0][..],                           // magic, version
        &[1, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0], // one tensor, one entry
        &[1, 0, 0, 0, 0, 0, 0, 0], b"k", &[2, 0, 0, 0, 7, 1], // "k": u16 0x0107
        &[1, 0, 0, 0, 0, 0, 0, 0], b"t", &[1, 0, 0, 0],       // "t", one dimension
        &[3, 0, 0, 0, 0, 0, 0, 0], &[24, 0, 0, 0],            // of 3, type I8
        &[0, 0, 0, 0, 0, 0, 0, 0],                            // at offset 0
    ].concat();
    assert_eq!(file.len(), 72);
    file.resize(96, 0);
    file.extend([9, 8, 7]);
    let gguf = open(file).unwrap();
    assert_eq!(gguf.get_u32("k").unwrap(), Some(0x0107));
    assert_eq!(gguf.tensor("t").unwrap().bytes(), [9, 8, 7]);
}

#[test]
fn keys_of_any_form_open() {
    let keys = ["gpt-oss.block_count", "General.NAME", "a b", "é", "..", "x.1-Y_z/"];
    let mut writer = GgufWriter::new();
    for (i, key) in (0..).zip(keys) {
        writer = writer.u32(key, i);
    }
    let gguf = open(writer.build()).unwrap();
    for (i, key) in (0..).zip(keys) {
        assert_eq!(gguf.get_u32(key).unwrap(), Some(i), "{key}");
    }
}

/// The records that cost most memory for their size in the file are small and many.
#[test]
fn many_small_records_stay_within_the_memory_bound() {
    let mut writer = GgufWriter::new().alignment(8);
    for i in 0..20_000 {
        writer = writer.bool(&format!("{i:x}"), true);
    }
    for i in 0..20_000 {
        writer = writer.tensor(&format!("{i:x}"), &[1], tensor_type::F16, vec![0; 2]);
    }
    let gguf = open(writer.build()).unwrap();
    assert_eq!(gguf.get_bool("4e1f").unwrap(), Some(true));
    assert_eq!(gguf.tensor("4e1f").unwrap().bytes(), [0; 2]);
}

#[test]
fn a_value_of_another_type_is_an_error_and_not_absent() {
    let gguf = open(
        sound()
            .i32("negative", -1)
            .raw("wide", value_type::F64, 0.5f64.to_le_bytes())
            .raw("small", value_type::I16, 300i16.to_le_bytes())
            .build(),
    )
    .unwrap();
    let refused = |error: Error| match error {
        Error::Gguf(error) => error,
        other => panic!("{other}"),
    };
    let wrong = |error| matches!(refused(error), GgufError::WrongType { .. });
    let range = |error| matches!(refused(error), GgufError::OutOfRange { .. });
    assert!(wrong(gguf.get_u32("general.architecture").unwrap_err()));
    assert!(wrong(gguf.get_str("llama.block_count").unwrap_err()));
    assert!(wrong(gguf.get_f32("llama.block_count").unwrap_err()));
    assert!(wrong(gguf.get_bool("llama.block_count").unwrap_err()));
    assert!(wrong(gguf.get_strs("tokenizer.ggml.scores").unwrap_err()));
    assert!(wrong(gguf.get_f32s("tokenizer.ggml.tokens").unwrap_err()));
    assert!(wrong(gguf.get_i32s("llama.block_count").unwrap_err()));
    assert!(range(gguf.get_u32("negative").unwrap_err()));
    assert!(range(gguf.get_u64("negative").unwrap_err()));
    assert!(range(gguf.get_u32s("tokenizer.ggml.token_type").unwrap_err()));
    assert_eq!(gguf.get_f32("wide").unwrap(), Some(0.5));
    assert_eq!(gguf.get_u32("small").unwrap(), Some(300));
    assert!(matches!(gguf.get("nested"), Some(MetadataValue::Array(a)) if a.len() == 2));
}

#[test]
fn a_mapped_file_reads_like_one_in_memory_and_after_its_pages_were_released() {
    let big: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
    let writer = sound().tensor("big", &[1 << 18], tensor_type::F32, big.clone());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&writer.build()).unwrap();
    let gguf = Gguf::open(file.path()).unwrap();
    let view = gguf.tensor("big").unwrap();
    drop(gguf);
    assert!(view.bytes() == big);
    view.release_pages(0..view.bytes().len());
    view.release_pages(5..9000);
    view.release_pages(7..usize::MAX);
    view.release_pages(usize::MAX..usize::MAX);
    assert!(view.bytes() == big);
    let empty = Gguf::open(tempfile::NamedTempFile::new().unwrap().path()).unwrap_err();
    assert!(matches!(empty, Error::Gguf(GgufError::Truncated { .. })));
    let missing = Gguf::open(file.path().with_extension("absent")).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
    assert!(matches!(Gguf::open(std::env::temp_dir()), Err(Error::Io { .. })));
}
