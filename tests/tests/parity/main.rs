//! Every op on the GPU against its CPU twin, over odd shapes and in every form of the kernels, as a
//! table; and the CPU twins against formulas in f64, so that a bug which both share is seen too.
//!
//! `cargo test --release --test parity -- --nocapture` prints the tables.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod attention;
mod elements;
mod formulas;
mod table;
mod weights;

use halfbyte::Error;
use halfbyte::backend::{
    Backend,
    gpu::{Gpu, GpuOptions},
};
use halfbyte::quant::WeightType;
use halfbyte_tests::{matrices::random_matrix, random::Random};

use table::Table;

/// The GPU, opened in one way, against the CPU.
fn open(form: &str, options: GpuOptions) -> Table {
    Table::new(form, Box::new(Gpu::open_with(options).unwrap()))
}

fn check_weights(table: &mut Table) {
    weights::embed(table);
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
    let mut table = open("default", GpuOptions::default());
    check_all(&mut table);
    table.assert_agreement();
}

#[test]
fn gpu_without_subgroups_matches_its_cpu_twins() {
    let mut table = open("no subgroups", GpuOptions { subgroups: false, ..Default::default() });
    check_all(&mut table);
    table.assert_agreement();
}

#[test]
fn gpu_without_textures_matches_its_cpu_twins() {
    for (form, int64) in [("64-bit loads", true), ("32-bit loads", false)] {
        let mut table = open(form, GpuOptions { textures: false, int64, ..Default::default() });
        check_weights(&mut table);
        attention::attention(&mut table);
        attention::rope_attention(&mut table);
        table.assert_agreement();
    }
}

#[test]
fn gpu_with_split_weights_matches_its_cpu_twins() {
    let mut table = open("split weights", GpuOptions { max_binding_bytes: 16 << 10, ..Default::default() });
    check_weights(&mut table);
    table.assert_agreement();
}

#[test]
fn gpu_refuses_columns_that_are_no_whole_block() {
    let matrix = random_matrix(&mut Random::new(1), WeightType::F32, [3, 40], 1.0);
    match Gpu::open().unwrap().upload(&[matrix]) {
        Err(Error::Unsupported(text)) => assert!(text.contains("40 columns"), "{text}"),
        other => panic!("{other:?}"),
    }
}
