//! Every weight type against the values that an independent implementation dequantises random blocks to;
//! `tests/fixtures/blocks/make.py` made them. And what happens to a type that is not read,
//! and to a tensor of a wrong size.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use halfbyte::Error;
use halfbyte::gguf::{Gguf, GgufError, TensorType, TensorView};
use halfbyte::quant::{WeightType, dequantize_tensor};
use halfbyte_tests::{fixtures, gguf_writer::GgufWriter};
use safetensors::SafeTensors;

/// A value is a product of two or three numbers of few bits, which f32 holds exactly, less at most one
/// other such product: one rounding, so that every implementation in f32 gives the same number.
#[test]
fn every_type_gives_the_reference_values() {
    let file = fs::read(fixtures::path("blocks/blocks.safetensors")).unwrap();
    let fixture = SafeTensors::deserialize(&file).unwrap();
    for ty in WeightType::ALL {
        let name = ty.tensor_type().to_string();
        let numbers = |part: &str| -> Vec<[u8; 4]> {
            fixture.tensor(&format!("{name}.{part}")).unwrap().data().as_chunks().0.to_vec()
        };
        let blocks = fixture.tensor(&format!("{name}.blocks")).unwrap().data().to_vec();
        let values: Vec<f32> = numbers("values").into_iter().map(f32::from_le_bytes).collect();
        let tensor = tensor(u32::from_le_bytes(numbers("id")[0]), &[values.len() as u64], blocks);
        assert_eq!(WeightType::of(&tensor).unwrap(), ty);
        let ours = dequantize_tensor(&tensor).unwrap();
        let wrong = (0..values.len()).find(|i| ours[*i] != values[*i]);
        assert_eq!(wrong.map(|i| (i, ours[i], values[i])), None, "{name}");
    }
}

/// One byte less than the blocks take, and a row that ends inside a block.
#[test]
fn a_file_with_a_wrong_size_is_refused_for_every_type() {
    for ty in WeightType::ALL {
        let (cols, id) = (3 * ty.block() as u64, ty.tensor_type() as u32);
        let bytes = ty.row_bytes(3 * ty.block());
        let open = |dims: &[u64], bytes: usize| {
            Gguf::from_bytes(GgufWriter::new().tensor("t", dims, id, vec![0; bytes]).build())
        };
        assert!(open(&[cols, 2], 2 * bytes).is_ok(), "{ty:?}");
        let error = open(&[cols, 2], 2 * bytes - 1).unwrap_err();
        assert!(matches!(error, Error::Gguf(GgufError::OutsideFile { .. })), "{ty:?}: {error}");
        if ty.block() > 1 {
            let error = open(&[cols - 1], bytes).unwrap_err();
            assert!(matches!(error, Error::Gguf(GgufError::PartialBlock { .. })), "{ty:?}: {error}");
        }
    }
}

#[test]
fn a_type_that_is_not_read_is_refused_by_name() {
    for (ty, bytes) in [(TensorType::IQ2_XXS, 66), (TensorType::TQ1_0, 54), (TensorType::IQ3_S, 110)] {
        let tensor = tensor(ty as u32, &[256], vec![0; bytes]);
        let text = dequantize_tensor(&tensor).unwrap_err().to_string();
        for part in ["blk.0.ffn_up.weight", &ty.to_string(), "Q4_K", "MXFP4"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

fn tensor(id: u32, dims: &[u64], data: Vec<u8>) -> TensorView {
    let name = "blk.0.ffn_up.weight";
    let file = GgufWriter::new().tensor(name, dims, id, data).build();
    Gguf::from_bytes(file).unwrap().tensor(name).unwrap()
}
