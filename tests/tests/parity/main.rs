//! Every op on the GPU against its CPU twin, over odd shapes and in every form of the kernels, as a
//! table; and the CPU twins against formulas in f64, so that a bug which both share is seen too.
//!
//! `cargo test --release --test parity -- --nocapture` prints the tables.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod attention;
mod elements;
mod formulas;
mod int8;
mod table;
mod weights;

use halfbyte::Error;
use halfbyte::backend::{
    Activations, Backend,
    gpu::{Gpu, GpuOptions},
};
use halfbyte::quant::WeightType;
use halfbyte_tests::{matrices::random_matrix, random::Random};

use table::Table;

const F32: GpuOptions = GpuOptions {
    subgroups: true,
    int64: true,
    textures: true,
    activations: Activations::F32,
    max_binding_bytes: u64::MAX,
};
const INT8: GpuOptions = GpuOptions { activations: Activations::Int8, ..F32 };

/// The GPU, opened in one way, against the CPU with the same activations.
fn open(form: &str, options: GpuOptions) -> Table {
    Table::new(form, Box::new(Gpu::open_with(options).unwrap()), options.activations)
}

fn check_weights(table: &mut Table) {
    weights::embed(table);
    check_matmuls(table);
}

fn check_matmuls(table: &mut Table) {
    weights::matmul(table);
    weights::fused_matmul(table);
    weights::large_matmul(table);
    weights::stacks(table);
    weights::many_in_one_submit(table);
}

fn check_all(table: &mut Table) {
    check_weights(table);
    elements::rms_norm(table);
    elements::silu_mul(table);
    elements::gelu_mul(table);
    elements::softcap(table);
    attention::rope_kv(table);
    attention::attention(table);
    attention::rope_attention(table);
}

#[test]
fn gpu_matches_its_cpu_twins() {
    let mut table = open("default", F32);
    check_all(&mut table);
    table.assert_agreement();
}

#[test]
fn gpu_without_subgroups_matches_its_cpu_twins() {
    let mut table = open("no subgroups", GpuOptions { subgroups: false, ..F32 });
    check_all(&mut table);
    table.assert_agreement();
}

#[test]
fn gpu_without_textures_matches_its_cpu_twins() {
    for (form, int64) in [("64-bit loads", true), ("32-bit loads", false)] {
        let mut table = open(form, GpuOptions { textures: false, int64, ..F32 });
        check_weights(&mut table);
        attention::attention(&mut table);
        attention::rope_attention(&mut table);
        table.assert_agreement();
    }
}

#[test]
fn gpu_with_split_weights_matches_its_cpu_twins() {
    let mut table = open("split weights", GpuOptions { max_binding_bytes: 16 << 10, ..F32 });
    check_weights(&mut table);
    table.assert_agreement();
}

#[test]
fn gpu_with_int8_activations_matches_its_cpu_twins() {
    let mut table = open("int8 activations", INT8);
    check_matmuls(&mut table);
    table.assert_agreement();
}

#[test]
fn other_forms_with_int8_activations_match_their_cpu_twins() {
    for (form, options) in [
        ("no subgroups", GpuOptions { subgroups: false, ..INT8 }),
        ("64-bit loads", GpuOptions { textures: false, ..INT8 }),
        ("32-bit loads", GpuOptions { textures: false, int64: false, ..INT8 }),
        ("split weights", GpuOptions { max_binding_bytes: 16 << 10, ..INT8 }),
    ] {
        let mut table = open(form, options);
        weights::fused_matmul(&mut table);
        weights::stacks(&mut table);
        table.assert_agreement();
    }
}

#[test]
fn gpu_refuses_columns_that_are_no_whole_block() {
    let matrix = random_matrix(&mut Random::new(1), WeightType::F32, [3, 40], 1.0);
    match Gpu::open().unwrap().upload(&[matrix]) {
        Err(Error::Unsupported(text)) => assert!(text.contains("40 columns"), "{text}"),
        other => panic!("{other:?}"),
    }
}
