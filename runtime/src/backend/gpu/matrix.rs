//! Weights on the GPU: rows are repacked while they are copied from the mapped file, whose pages are
//! dropped behind the copy, so that a weight exists once. A matrix is a list of chunks, each of one
//! weight type and small enough for one buffer or texture.

use std::ops::Range;

use rayon::prelude::*;

use super::{context::Context, words::Words};
use crate::{
    error::{Error, Result},
    gguf::TensorView,
    quant::{BLOCK, INTERLEAVE, WeightType},
};

/// Bytes that are repacked before they are handed to the queue.
const PIECE: usize = 4 << 20;

/// Rows of one type.
pub(super) struct Chunk {
    pub ty: WeightType,
    pub words: Words,
    pub row_begin: u32,
    pub n_rows: u32,
}

/// A run of rows of one tensor.
struct Part<'a> {
    tensor: &'a TensorView,
    rows: Range<usize>,
}

/// Uploads the rows of all `tensors`, stacked. `max_bytes` bounds a chunk.
pub(super) fn upload(ctx: &Context, tensors: &[TensorView], max_bytes: u64) -> Result<Vec<Chunk>> {
    let max_bytes = max_bytes.min(Words::max_bytes(ctx));
    let mut row_begin = 0;
    let mut chunks = Vec::new();
    for (ty, parts) in plan(tensors, max_bytes)? {
        let chunk = upload_chunk(ctx, ty, &parts, row_begin)?;
        row_begin += chunk.n_rows;
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// Splits the stacked rows into chunks. A chunk ends where the type changes, where a group of
/// interleaved rows would span two tensors, and where it is full.
fn plan(tensors: &[TensorView], max_bytes: u64) -> Result<Vec<(WeightType, Vec<Part<'_>>)>> {
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
        let most = (max_bytes as usize / ty.gpu_bytes(INTERLEAVE, cols)).max(1) * INTERLEAVE;
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
    let words = Words::new(ctx, ty.gpu_bytes(n_rows, cols))?;
    let mut first = 0;
    for part in parts {
        copy_part(ctx, &words, ty, part, first)?;
        first += part.rows.len();
    }
    Ok(Chunk { ty, words, row_begin, n_rows: n_rows as u32 })
}

/// Repacks and copies a part, whose first row is row `first` of the chunk, piece by piece.
fn copy_part(ctx: &Context, words: &Words, ty: WeightType, part: &Part, first: usize) -> Result<()> {
    let cols = part.tensor.cols();
    let row_bytes = ty.row_bytes(cols);
    let step = (PIECE / row_bytes).max(1).next_multiple_of(INTERLEAVE);
    let group_bytes = ty.gpu_bytes(INTERLEAVE, cols);
    for begin in part.rows.clone().step_by(step) {
        let rows = begin..(begin + step).min(part.rows.end);
        let file = rows.start * row_bytes..rows.end * row_bytes;
        let mut piece = vec![0; ty.gpu_bytes(rows.len(), cols)];
        piece
            .par_chunks_mut(group_bytes)
            .zip(part.tensor.bytes()[file.clone()].par_chunks(INTERLEAVE * row_bytes))
            .for_each(|(piece, rows)| ty.repack(rows, cols, piece));
        let group = (first + begin - part.rows.start) / INTERLEAVE;
        words.write(ctx, group * group_bytes, &piece);
        ctx.queue.submit([]);
        ctx.wait()?;
        part.tensor.release_pages(file);
    }
    Ok(())
}
