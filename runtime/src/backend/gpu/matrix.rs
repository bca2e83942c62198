//! Weights on the GPU: rows are repacked while they are copied from the mapped file, whose pages are
//! dropped behind the copy, so that a weight exists once. A matrix is a list of chunks, each of one
//! weight type and small enough for one binding.

use std::ops::Range;

use rayon::prelude::*;

use super::context::Context;
use crate::{
    error::{Error, Result},
    gguf::TensorView,
    quant::{BLOCK, INTERLEAVE, WeightType},
};

/// Bytes that are repacked before they are handed to the queue.
const PIECE: usize = 4 << 20;

/// Rows of one type in one buffer: the quants, then the scales.
pub(super) struct Chunk {
    pub ty: WeightType,
    pub buffer: wgpu::Buffer,
    pub quants: Range<u64>,
    pub scales: Range<u64>,
    pub row_begin: u32,
    pub n_rows: u32,
}

/// A run of rows of one tensor.
struct Part<'a> {
    tensor: &'a TensorView,
    rows: Range<usize>,
}

/// Uploads the rows of all `tensors`, stacked. `max_binding` bounds the bytes of a binding.
pub(super) fn upload(ctx: &Context, tensors: &[TensorView], max_binding: u64) -> Result<Vec<Chunk>> {
    let mut row_begin = 0;
    let mut chunks = Vec::new();
    for (ty, parts) in plan(tensors, max_binding)? {
        let chunk = upload_chunk(ctx, ty, &parts, row_begin)?;
        row_begin += chunk.n_rows;
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// Splits the stacked rows into chunks. A chunk ends where the type changes, where a group of
/// interleaved rows would span two tensors, and where a binding is full.
fn plan(tensors: &[TensorView], max_binding: u64) -> Result<Vec<(WeightType, Vec<Part<'_>>)>> {
    let mut chunks: Vec<(WeightType, Vec<Part>)> = Vec::new();
    let mut filled = 0;
    for tensor in tensors {
        let (ty, cols) = (WeightType::of(tensor)?, tensor.cols());
        if !cols.is_multiple_of(BLOCK) {
            return Err(Error::Unsupported(format!(
                "tensor {} has {cols} columns; the GPU takes multiples of {BLOCK}, the CPU any",
                tensor.name()
            )));
        }
        let (group_bytes, _) = ty.gpu_bytes(INTERLEAVE, cols);
        let most = (max_binding as usize / group_bytes).max(1) * INTERLEAVE;
        let mut rows = 0..tensor.rows();
        while !rows.is_empty() {
            let joins = chunks.last().is_some_and(|(last, _)| *last == ty);
            if !joins || filled % INTERLEAVE != 0 || filled >= most {
                chunks.push((ty, Vec::new()));
                filled = 0;
            }
            let n = rows.len().min(most - filled);
            if let Some((_, parts)) = chunks.last_mut() {
                parts.push(Part { tensor, rows: rows.start..rows.start + n });
            }
            filled += n;
            rows.start += n;
        }
    }
    Ok(chunks)
}

fn upload_chunk(ctx: &Context, ty: WeightType, parts: &[Part], row_begin: u32) -> Result<Chunk> {
    let cols = parts[0].tensor.cols();
    let n_rows: usize = parts.iter().map(|p| p.rows.len()).sum();
    let (n_quants, n_scales) = ty.gpu_bytes(n_rows, cols);
    let scales_at = n_quants.next_multiple_of(256) as u64;
    let scales = scales_at..scales_at + n_scales.max(16) as u64;
    let buffer = ctx.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: scales.end.next_multiple_of(4),
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    ctx.check()?;
    let chunk = Chunk { ty, buffer, quants: 0..n_quants as u64, scales, row_begin, n_rows: n_rows as u32 };
    let mut first = 0;
    for part in parts {
        copy_part(ctx, &chunk, part, first, cols)?;
        first += part.rows.len();
    }
    Ok(chunk)
}

/// Repacks and copies a part, whose first row is row `first` of the chunk, piece by piece.
fn copy_part(ctx: &Context, chunk: &Chunk, part: &Part, first: usize, cols: usize) -> Result<()> {
    let ty = chunk.ty;
    let row_bytes = ty.row_bytes(cols);
    let step = (PIECE / row_bytes).max(1).next_multiple_of(INTERLEAVE);
    let (group_quants, group_scales) = ty.gpu_bytes(INTERLEAVE, cols);
    for begin in part.rows.clone().step_by(step) {
        let rows = begin..(begin + step).min(part.rows.end);
        let bytes = &part.tensor.bytes()[rows.start * row_bytes..rows.end * row_bytes];
        let (n_quants, n_scales) = ty.gpu_bytes(rows.len(), cols);
        let (mut quants, mut scales) = (vec![0; n_quants], vec![0; n_scales]);
        quants
            .par_chunks_mut(group_quants)
            .zip(scales_of_groups(&mut scales, group_scales, n_quants / group_quants))
            .zip(bytes.par_chunks(INTERLEAVE * row_bytes))
            .for_each(|((q, s), b)| ty.repack(b, b.len() / row_bytes, cols, q, s));
        let group = (first + begin - part.rows.start) / INTERLEAVE;
        ctx.queue.write_buffer(&chunk.buffer, (group * group_quants) as u64, &quants);
        if n_scales > 0 {
            let at = chunk.scales.start + (group * group_scales) as u64;
            ctx.queue.write_buffer(&chunk.buffer, at, &scales);
        }
        ctx.queue.submit([]);
        ctx.wait()?;
        part.tensor.release_pages(rows.start * row_bytes..rows.end * row_bytes);
    }
    Ok(())
}

/// One slice of `scales` a group of rows; empty slices where the type has none.
fn scales_of_groups(scales: &mut [u8], bytes: usize, groups: usize) -> Vec<&mut [u8]> {
    let mut rest = scales;
    (0..groups).map(|_| rest.split_off_mut(..bytes).unwrap_or_default()).collect()
}
