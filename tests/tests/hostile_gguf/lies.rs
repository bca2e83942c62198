//! One lie at a time, each with the error it must give.

use halfbyte::gguf::{GgufError, TensorType};
use halfbyte_tests::gguf_writer::{GgufWriter, RawTensor, array, string, tensor_type, value_type};

use super::{open, sound};

/// Asserts that a file is refused with this error, whose text is worth reading.
macro_rules! refused {
    ($writer:expr, $error:pat $(if $guard:expr)?) => {
        let error = open($writer.build()).expect_err("the file must be refused");
        assert!(matches!(&error, $error $(if $guard)?), "{error:?}");
        assert!(error.to_string().len() > 20, "{error}");
    };
}

fn f32_tensor(name: &str) -> RawTensor {
    RawTensor { name: name.into(), dims: vec![8], ty: tensor_type::F32, offset: None, data: vec![0; 32] }
}

#[test]
fn lies_about_the_kind_of_file() {
    refused!(sound().magic(*b"<htm"), GgufError::NotGguf { found } if found == b"<htm");
    refused!(sound().magic(*b"FUGG"), GgufError::BigEndian);
    refused!(sound().version(3u32.swap_bytes()), GgufError::BigEndian);
    for version in [0, 1, 4, u32::MAX] {
        refused!(
            sound().version(version),
            GgufError::UnsupportedVersion { version: v } if *v == version
        );
    }
}

#[test]
fn lies_about_counts() {
    for count in [1 << 20, u64::MAX / 33, u64::MAX] {
        refused!(
            sound().tensor_count(count),
            GgufError::CountTooLarge { what, count: c, .. } if what.contains("tensor") && *c == count
        );
        refused!(
            sound().metadata_count(count),
            GgufError::CountTooLarge { what, count: c, .. } if what.contains("metadata") && *c == count
        );
    }
    for ty in 0..=12 {
        let lie = array(ty, 1 << 40, &[0; 64]);
        refused!(
            sound().raw("lie", value_type::ARRAY, lie),
            GgufError::CountTooLarge { what, .. } if what.contains("lie")
        );
    }
}

#[test]
fn lies_about_text() {
    let huge = [u64::MAX.to_le_bytes(), [b'x'; 8]].concat();
    refused!(
        GgufWriter::new().raw("lie", value_type::STRING, &huge),
        GgufError::Truncated { what, needed: u64::MAX, available: 8, .. } if what.contains("lie")
    );
    refused!(
        GgufWriter::new().raw(b"k\xff", value_type::BOOL, [1]),
        GgufError::NotUtf8 { what } if what == "metadata key 0"
    );
    refused!(
        GgufWriter::new().raw("k", value_type::STRING, string(b"\xc3")),
        GgufError::NotUtf8 { what } if what.contains("\"k\"")
    );
    refused!(GgufWriter::new().u32("", 1).u32("k", 1), GgufError::EmptyName { .. });
    refused!(
        GgufWriter::new().u32(&"k".repeat(65_536), 1),
        GgufError::NameTooLong { len: 65_536, most: 65_535, .. }
    );
    refused!(
        GgufWriter::new().u32("k", 1).u32("other", 1).u32("k", 2),
        GgufError::DuplicateKey { key } if key == "k"
    );
}

#[test]
fn lies_about_values() {
    for id in [13, 99, u32::MAX] {
        refused!(
            GgufWriter::new().raw("k", id, [0; 8]),
            GgufError::UnknownValueType { id: found, .. } if *found == id
        );
        refused!(
            GgufWriter::new().raw("k", value_type::ARRAY, array(id, 0, &[])),
            GgufError::UnknownValueType { id: found, .. } if *found == id
        );
    }
    refused!(GgufWriter::new().raw("k", value_type::BOOL, [2]), GgufError::BadBool { found: 2, .. });
    let nested = |depth| {
        let innermost = array(value_type::U8, 1, &[7]);
        (1..depth).fold(innermost, |inner, _| array(value_type::ARRAY, 1, &inner))
    };
    assert!(open(GgufWriter::new().raw("k", value_type::ARRAY, nested(4)).build()).is_ok());
    for depth in [5, 10_000] {
        refused!(
            GgufWriter::new().raw("k", value_type::ARRAY, nested(depth)),
            GgufError::NestedTooDeep { most: 4, .. }
        );
    }
}

/// Each array claims all the room that is left; the error comes once the last has been read.
#[test]
fn nested_lies_do_not_multiply() {
    const ROOM: u64 = 4 << 20;
    let innermost = array(value_type::U8, ROOM, &vec![0; ROOM as usize]);
    let value = (0..3).fold(innermost, |inner, _| array(value_type::ARRAY, ROOM / 12, &inner));
    refused!(GgufWriter::new().raw("k", value_type::ARRAY, value), GgufError::Truncated { .. });
}

/// A sound length that costs 24 times its size in memory: refused by the budget, not by the system.
#[test]
fn a_header_beyond_the_budget_is_refused_before_it_is_reserved() {
    let bytes = vec![0; 12 << 20];
    refused!(
        GgufWriter::new().raw("k", value_type::ARRAY, array(value_type::U8, bytes.len() as u64, &bytes)),
        GgufError::HeaderTooLarge { .. }
    );
}

#[test]
fn lies_about_alignment() {
    for alignment in [0, 1, 4, 12, 24, 33, u32::MAX] {
        refused!(
            sound().u32("general.alignment", alignment),
            GgufError::BadAlignment { alignment: a } if *a == u64::from(alignment)
        );
    }
    refused!(
        sound().str("general.alignment", "32"),
        GgufError::WrongType { key, .. } if key == "general.alignment"
    );
    refused!(sound().u64("general.alignment", 1 << 63), GgufError::OutsideFile { data_len: 0, .. });
    for alignment in [8, 64, 4096] {
        let gguf = open(sound().alignment(alignment).build()).unwrap();
        assert_eq!(gguf.tensor("q8_0").unwrap().bytes(), [5; 68]);
    }
}

#[test]
fn lies_about_tensors() {
    let with = |change: fn(&mut RawTensor)| {
        let mut tensor = f32_tensor("t");
        change(&mut tensor);
        sound().raw_tensor(tensor)
    };
    refused!(with(|t| t.name = b"\xff".into()), GgufError::NotUtf8 { what } if what.contains("tensor 5"));
    refused!(with(|t| t.name = vec![]), GgufError::EmptyName { .. });
    refused!(with(|t| t.name = vec![b'n'; 65]), GgufError::NameTooLong { len: 65, most: 64, .. });
    refused!(with(|t| t.name = "q4_0".into()), GgufError::DuplicateTensor { tensor } if tensor == "q4_0");
    refused!(with(|t| t.dims = vec![]), GgufError::DimensionCount { count: 0, .. });
    refused!(with(|t| t.dims = vec![2, 2, 2, 1, 1]), GgufError::DimensionCount { count: 5, .. });
    refused!(with(|t| t.dims = vec![8, 0]), GgufError::ZeroDimension { .. });
    refused!(with(|t| t.dims = vec![0]), GgufError::ZeroDimension { .. });
    refused!(with(|t| t.dims = vec![1 << 32; 4]), GgufError::SizeOverflow { .. });
    refused!(with(|t| t.dims = vec![u64::MAX]), GgufError::SizeOverflow { .. });
    for id in [4, 5, 31, 43, u32::MAX] {
        let mut tensor = f32_tensor("t");
        tensor.ty = id;
        refused!(
            sound().raw_tensor(tensor),
            GgufError::UnknownTensorType { tensor, id: found } if tensor == "t" && *found == id
        );
    }
    refused!(
        with(|t| (t.ty, t.dims) = (tensor_type::Q4_0, vec![16, 2])),
        GgufError::PartialBlock { cols: 16, block: 32, ty: TensorType::Q4_0, .. }
    );
    refused!(with(|t| t.offset = Some(4)), GgufError::Unaligned { offset: 4, alignment: 32, .. });
}

#[test]
fn lies_about_places() {
    let at = |offset| {
        let mut tensor = f32_tensor("t");
        tensor.offset = Some(offset);
        sound().raw_tensor(tensor)
    };
    refused!(at(1 << 20), GgufError::OutsideFile { tensor, .. } if tensor == "t");
    refused!(at(u64::MAX - 31), GgufError::OutsideFile { .. });
    refused!(at(0), GgufError::Overlap { first, second } if [first, second].contains(&&"t".to_owned()));
    let mut long = f32_tensor("long");
    long.dims = vec![9];
    refused!(
        GgufWriter::new().raw_tensor(long).raw_tensor(f32_tensor("t")),
        GgufError::Overlap { first, second } if first == "long" && second == "t"
    );
}
